"""Where a manifest says what: the file and line that a finding asks a person to correct."""

import yaml

from maricopa_scrapy.configuration import config_folder


def line_of(source: str, *keys: str) -> str:
    """Return the file and the line of a key of config/sources/<source>.yaml; without the line where the key
    is not written out.
    """
    file = config_folder() / "sources" / f"{source}.yaml"
    named = f"{file} " if file.is_file() else f"config/sources/{source}.yaml "
    at = _line(file.read_text(encoding="utf-8"), keys) if file.is_file() else None
    return named + (f"line {at}: " if at else "") + ".".join(keys)


def _line(text: str, keys: tuple[str, ...]) -> int | None:
    node: yaml.Node | None = yaml.compose(text, yaml.SafeLoader)
    line = None
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return line
        found = next(((name, value) for name, value in node.value if name.value == key), None)
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line
