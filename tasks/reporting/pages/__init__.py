"""What pages of figures have in common: skeleton, style sheet, pieces of HTML and small charts."""
