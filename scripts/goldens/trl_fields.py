"""Every key that a TRL GRPO run may have, with its default: trl_fields.py

Writes Tests/GRPOTests/Goldens/trl_fields.json: for each of TRL's dataclasses behind `trl grpo` (GRPOConfig with the TrainingArguments under it,
ModelConfig, ScriptArguments, DatasetMixtureConfig, GRPOScriptArguments) its fields' names and defaults.
A test walks them: none may be unknown to us, and those we have must have TRL's default. Needs trl.
"""
import dataclasses
import json
import pathlib

import transformers
import trl
from trl.scripts.grpo import GRPOScriptArguments
from trl.scripts.utils import DatasetMixtureConfig

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "Tests/GRPOTests/Goldens/trl_fields.json"


def plain(value):
    """The default as JSON: enumerations by their value, anything else that JSON lacks as null."""
    if isinstance(value, transformers.utils.ExplicitEnum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (str, bool, int, float, dict)) else None


def default(field):
    if field.default is not dataclasses.MISSING:
        return plain(field.default)
    return plain(field.default_factory()) if field.default_factory is not dataclasses.MISSING else None


def main():
    classes = [trl.GRPOConfig, trl.ModelConfig, trl.ScriptArguments, DatasetMixtureConfig, GRPOScriptArguments]
    fields = {}
    for cls in classes:
        for field in dataclasses.fields(cls):
            fields.setdefault(field.name, {"class": cls.__name__, "default": default(field)})
    versions = {"trl": trl.__version__, "transformers": transformers.__version__}
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(field)}" for name, field in fields.items())
    GOLDEN.write_text(f'{{\n  "versions": {json.dumps(versions)},\n  "fields": {{\n{lines}\n  }}\n}}\n', encoding="utf-8")
    print(len(fields), "fields")


main()
