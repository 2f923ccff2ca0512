"""What the package's metadata says of its source: full links, where the address is known."""

import re
import runpy
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class SourceLinks(MetadataHookInterface):
    """Fill in `readme` and `urls`; on the index's page a path of the repository leads nowhere."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Make the README's links full ones, and name the source's pages."""
        root = Path(self.root)
        known = runpy.run_path(str(root / "skullnb" / "report" / "address.py"))
        address, branch = known["source"](root)
        text = (root / "README.md").read_text(encoding="utf-8")
        if address:
            pages, files = f"{address}/blob/{branch}/", f"{address}/raw/{branch}/"
            text = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\1{files}", text)
            text = re.sub(r"(?<!!)(\[[^\]!]*\]\()(?!https?:)", rf"\1{pages}", text)
            metadata["urls"] = {
                "Source": address,
                "Issues": f"{address}/issues",
                "Changelog": f"{pages}CHANGELOG.md",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
