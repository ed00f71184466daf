"""Selecting from an AudioSet list of 2,041,789 rows, the size of the unbalanced one: ours against pandas.

    python -m benchmarks.selection [--lists FOLDER] [--rows 2041789] [--rounds 5]

The list is made up: random ids with label texts drawn from the real lists (balanced_train_segments.csv,
eval_segments.csv and ontology.json in FOLDER) or, without them, from made-up labels of uneven frequency. Two pandas
ways read it with ``read_csv`` and keep the distinct videos with a wanted label: one looks at the labels of every row,
as it is mostly written, the other at every distinct label text. Against both stands our listing, which does as much
and also unites the labels of a video; the last line is the whole ``select``: listing, 128-bit order and split,
51,300 ``Track`` objects in partitions. Each run has a process of its own; imports are not counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd  # also for ours: pyarrow loads pandas where it is installed

from data_specs.spec import AudioSetSource, DatasetSpec
from tasks.select import select
from tasks.select.audioset import AudioSetVideos, read_ontology, subtree
from tasks.select.segments import read_segments

ROOT = "/m/04rlf"
LIMIT = 51_300
HEADER = "# Segments csv made up\n# num_ytids={rows}, num_segs={rows}\n# YTID, start_seconds, end_seconds, labels\n"


def pandas_rows(path: Path, ontology: Path) -> Iterable[str]:
    wanted = subtree(read_ontology(ontology), ROOT)
    frame = _read_csv(path)
    found = frame[frame["labels"].str.split(",").map(lambda mids: not wanted.isdisjoint(mids))]
    return found["video"].unique()


def pandas_distinct(path: Path, ontology: Path) -> Iterable[str]:
    wanted = subtree(read_ontology(ontology), ROOT)
    frame = _read_csv(path)
    texts = [text for text in frame["labels"].unique() if not wanted.isdisjoint(text.split(","))]
    return frame[frame["labels"].isin(texts)]["video"].unique()


def _read_csv(path: Path) -> pd.DataFrame:
    names = ["video", "start", "end", "labels"]
    options = {"header": None, "names": names, "usecols": ["video", "labels"]}
    return pd.read_csv(path, skipinitialspace=True, comment="#", **options)


def ours(path: Path, ontology: Path) -> Iterable[str]:
    return AudioSetVideos(AudioSetSource(segments=(str(path),), ontology=str(ontology), root=ROOT)).ids


def ours_select(path: Path, ontology: Path) -> Iterable[str]:
    source = AudioSetSource(segments=(str(path),), ontology=str(ontology), root=ROOT)
    return [track.track_id for track in select(DatasetSpec(name="many", source=source, limit=LIMIT)).tracks]


WAYS: dict[str, Callable[[Path, Path], Iterable[str]]] = {
    "pandas, every row": pandas_rows,
    "pandas, distinct texts": pandas_distinct,
    "ours": ours,
    f"ours, select {LIMIT}": ours_select,
}


def run(name: str, path: Path, ontology: Path) -> None:
    """One way, measured, as a line of JSON."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = WAYS[name](path, ontology)
    figures = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ids = sorted(map(str, found))
    mark = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    print(json.dumps({**figures, "peak_mb": peak_mb, "tracks": len(ids), "mark": mark}))


def make_list(folder: Path, rows: int, lists: Path | None) -> tuple[Path, Path]:
    """A list and its ontology."""
    rng = random.Random(0)
    if lists is None:
        texts, ontology = _made_up_texts(rng), folder / "ontology.json"
        children = [f"/m/{number:05x}" for number in range(137)]
        nodes = [{"id": ROOT, "name": "Music", "child_ids": children}]
        nodes += [{"id": f"/m/{number:05x}", "name": f"Label {number}", "child_ids": []} for number in range(527)]
        ontology.write_text(json.dumps(nodes))
    else:
        names = ("balanced_train_segments.csv", "eval_segments.csv")
        texts = [text for name in names for text in read_segments(lists / name)["labels"].to_pylist()]
        ontology = lists / "ontology.json"
    path = folder / "made_up_segments.csv"
    letters = string.ascii_letters + string.digits + "-_"
    with open(path, "w", encoding="utf-8") as file:
        file.write(HEADER.format(rows=rows))
        for _ in range(rows):
            video = "".join(rng.choices(letters, k=11))
            start = 10 * rng.randrange(60)
            file.write(f"{video}, {start}.000, {start + 10}.000, {rng.choice(texts)}\n")
    return path, ontology


def _made_up_texts(rng: random.Random) -> list[str]:
    """Label texts with Music in every second one and few frequent labels, as in the unbalanced list."""
    labels = [f"/m/{number:05x}" for number in reversed(range(527))]  # those below Music are the rare ones
    weights = [1 / (rank + 1) for rank in range(len(labels))]
    texts = []
    for _ in range(500_000):
        mids = set(rng.choices(labels, weights, k=rng.choice((1, 1, 2, 2, 3, 5))))
        texts.append('"' + ",".join(sorted(mids | ({ROOT} if rng.random() < 0.45 else set()))) + '"')
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=Path, help="folder of the real lists and ontology")
    parser.add_argument("--rows", type=int, default=2_041_789)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", nargs=3, metavar=("WAY", "LIST", "ONTOLOGY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run[0], Path(options.run[1]), Path(options.run[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, ontology = make_list(Path(folder), options.rows, options.lists)
        print(f"{options.rows} rows, {path.stat().st_size / 1e6:.0f} MB; medians of {options.rounds}")
        report(measure(path, ontology, options.rounds))


def measure(path: Path, ontology: Path, rounds: int) -> dict[str, list[dict]]:
    """All figures of each way, in turns, so that noise meets all alike."""
    figures: dict[str, list[dict]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name in WAYS:
            command = [sys.executable, "-m", "benchmarks.selection", "--run", name, str(path), str(ontology)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures[name].append(json.loads(output))
    marks = {run["mark"] for name in list(WAYS)[:3] for run in figures[name]}
    if len(marks) != 1:
        raise SystemExit("the ways do not find the same tracks")
    return figures


def report(figures: dict[str, list[dict]]) -> None:
    def median(name: str, what: str) -> float:
        return statistics.median(run[what] for run in figures[name])

    print(f"{'':24}{'tracks':>9}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
    for name, runs in figures.items():
        print(
            f"{name:24}{runs[0]['tracks']:9d}{median(name, 'wall_s'):8.2f}{median(name, 'cpu_s'):8.2f}"
            f"{max(run['peak_mb'] for run in runs):9.0f}"
        )
    for ours_way in list(figures)[2:]:
        for pandas_way in list(figures)[:2]:
            wall, cpu = (median(pandas_way, what) / median(ours_way, what) for what in ("wall_s", "cpu_s"))
            print(f"{pandas_way} / {ours_way}: {wall:.1f} wall, {cpu:.1f} CPU")


if __name__ == "__main__":
    main()
