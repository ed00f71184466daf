"""Lists of ``vllm serve`` words come in, what vLLM's own parser makes of them goes out. For vLLM's interpreter."""

from __future__ import annotations

import json
import sys

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser


def main() -> None:
    command_line = FlexibleArgumentParser()
    ServeSubcommand().subparser_init(command_line.add_subparsers(dest="subparser"))
    module = make_arg_parser(FlexibleArgumentParser())
    parsed = []
    for words in json.load(sys.stdin):
        parser = command_line if words[0] == "serve" else module
        arguments = parser.parse_args(words)
        validate_parsed_serve_args(arguments)
        engine = AsyncEngineArgs.from_cli_args(arguments)  # what the server makes of them
        values = {name: value for name, value in vars(arguments).items() if name not in ("subparser", "model_tag")}
        values["model"] = arguments.model_tag or arguments.model
        config = engine.structured_outputs_config
        values["structured_outputs_config"] = {
            "backend": config.backend,
            "disable_any_whitespace": config.disable_any_whitespace,
        }
        parsed.append(values)
    json.dump(parsed, sys.stdout, default=repr)


if __name__ == "__main__":
    main()
