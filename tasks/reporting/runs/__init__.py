"""What trained runs came to: a page for each, and one that sets them side by side.

run folders -> record -> comparison -> page, comparison_page, markdown
"""
