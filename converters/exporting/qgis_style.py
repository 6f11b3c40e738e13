"""How QGIS shows a layer: a filled outline in the class's colour, as QML, and the table in which a GeoPackage carries it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

# Columns as QGIS makes them, so that it can add its own styles to the table.
TABLE = """CREATE TABLE layer_styles (
 id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
 f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
 styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
 update_time DATETIME)"""
# The imagery stays visible through a fill of 35 % (of 255).
FILL = 90


def qml(colour: str) -> str:
    """The QML of a polygon layer whose class has the colour "#rrggbb"."""
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology")
    root.append(renderer(colour))
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(root, encoding="unicode")


def renderer(colour: str) -> ElementTree.Element:
    """How a polygon layer is drawn: the part of a QML that a project holds as well."""
    rgb = ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    settings = {
        "color": f"{rgb},{FILL}",
        "style": "solid",
        "outline_color": f"{rgb},255",
        "outline_style": "solid",
        "outline_width": "0.4",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    root = ElementTree.Element("renderer-v2", type="singleSymbol", symbollevels="0", enableorderby="0", forceraster="0")
    symbol = ElementTree.SubElement(ElementTree.SubElement(root, "symbols"), "symbol", type="fill", name="0", alpha="1")
    layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "pass": "0", "locked": "0", "enabled": "1"})
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for name, value in settings.items():
        ElementTree.SubElement(options, "Option", type="QString", name=name, value=value)
        ElementTree.SubElement(layer, "prop", k=name, v=value)  # where QGIS before 3.26 looks
    return root


def add_styles(geopackage: Path, colours: Mapping[str, str], *, geometry: str, date: str) -> None:
    """Puts a default style for each layer into a GeoPackage. colours: layer -> "#rrggbb".

    geometry: name of the layers' geometry column. date: ISO, what the tables call their last change.
    """
    connection = sqlite3.connect(geopackage)
    try:
        with connection:
            connection.execute(TABLE)
            connection.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change) VALUES (?, ?, ?, ?, ?)",
                ("layer_styles", "attributes", "layer_styles", "styles of the layers for QGIS", date),
            )
            connection.executemany(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, styleSLD,"
                " useAsDefault, description, owner, ui, update_time) VALUES ('', '', ?, ?, ?, ?, '', 1, '', '', NULL, ?)",
                [(layer, geometry, layer[:30], qml(colour), date) for layer, colour in colours.items()],
            )
    finally:
        connection.close()
