"""``./run translate``: find all texts, write the catalogues of all languages again, and compile them."""

from __future__ import annotations

from catalogues.catalogues import LOCALES, PARTS, compile_catalogues, list_untranslated, po_path, update


def main() -> None:
    for locale in LOCALES:
        catalogues = update(locale)
        for part in PARTS:
            missing = list_untranslated(catalogues[part])
            print(f"{po_path(locale, part)}: {len(catalogues[part])} texts, {len(missing)} without a translation")
            for text in missing:
                print(f"    {text}")
        compile_catalogues(locale)


main()
