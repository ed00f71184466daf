"""The stages, in the order of the data: select, harvest, audio, structure, caption, shards, features,
training, evaluation, reporting. Plain Python; only ``tasks.doors`` imports Prefect."""
