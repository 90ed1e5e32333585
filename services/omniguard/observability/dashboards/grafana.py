"""A dashboard as Grafana's JSON model, from what a person wants to say of it: rows of panels, each with its queries.

Queries are written without the variables of the board; `scoped` adds them to every series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from omniguard.observability.catalog import COUNTERS, GAUGES, HISTOGRAMS, MetricSpec

__all__ = ["Board", "Panel", "Query", "Row", "quantile", "scoped"]

Kind = Literal["timeseries", "stat", "state-timeline"]

_SCHEMA: Final = 38
"""Of Grafana 10.1's dashboards; later ones read it too."""
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
_HEIGHTS: Final[Mapping[Kind, int]] = {"stat": 4, "timeseries": 8, "state-timeline": 8}
_SERIES: Final = re.compile(r"\b((?:omniguard|nv)_\w+)(?:\{([^}]*)\})?")
_SPECS: Final[Mapping[str, MetricSpec]] = {n: spec for specs in (COUNTERS, GAUGES, HISTOGRAMS) for n, spec in specs.items()}
_SUFFIX: Final = re.compile(r"_(bucket|count|sum)$")


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how its series are named: `{{label}}` stands for a label's value."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """`unit` is one of Grafana's; `alerts` names those whose runbook sections belong to it.

    `always` is True where a service that runs and was sent uploads has data, False where something must go wrong first, or a
    part that not every installation has must be there. `steps` are the values from which a stat turns orange, and red.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    alerts: tuple[str, ...] = ()
    always: bool = True
    stacked: bool = False
    width: int = 8
    most: float | None = None
    steps: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading. Closed ones ask Prometheus nothing until somebody opens them."""

    title: str
    panels: tuple[Panel, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """`told_by` is a metric that whatever the board is about always tells: its namespaces and releases can be chosen."""

    uid: str
    title: str
    description: str
    told_by: str
    rows: tuple[Row, ...]
    lanes: bool = True

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All of them, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)

    def json_model(self) -> dict[str, Any]:
        """What Grafana imports."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["omniguard"],
            "editable": True,
            "graphTooltip": 1,
            "style": "dark",
            "schemaVersion": _SCHEMA,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": _variables(self.told_by, lanes=self.lanes)},
            "annotations": {"list": [_FIRING]},
            "links": [_OTHER_BOARDS],
            "panels": _placed(self.rows),
        }


def quantile(q: float, histogram: str, by: str = "") -> str:
    """The q-quantile of a histogram (its name and braces) over the shown interval, for each value of the labels `by`."""
    name, _, braces = histogram.partition("{")
    series = f"{name}_bucket" + (f"{{{braces}" if braces else "")
    return f"histogram_quantile({q}, sum by (le{', ' + by if by else ''}) (rate({series}[$__rate_interval])))"


def scoped(expression: str) -> str:
    """The expression with every series held to the namespaces, releases and lanes that were chosen."""
    return _SERIES.sub(_narrow, expression)


def _narrow(found: re.Match[str]) -> str:
    name, braces = found[1], found[2]
    matchers = ['namespace=~"$namespace"', 'release=~"$release"']
    if "lane" in _labels(name) and not re.search(r"\blane\s*(=|!)", braces or ""):
        matchers.append('lane=~"$lane"')
    return f"{name}{{{','.join([*([braces] if braces else []), *matchers])}}}"


def _labels(name: str) -> Iterable[str]:
    spec = _SPECS.get(name) or _SPECS.get(_SUFFIX.sub("", name))
    return spec.labels if spec else ()


_FIRING: Final[dict[str, Any]] = {
    "name": "Alerts",
    "datasource": _SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertname=~"OmniGuard.*",alertstate="firing"}',
    "titleFormat": "{{alertname}}",
}
_OTHER_BOARDS: Final[dict[str, Any]] = {
    "title": "OmniGuard",
    "type": "dashboards",
    "icon": "external link",
    "tooltip": "The other boards, with the same choice of namespace, release and time",
    "tags": ["omniguard"],
    "asDropdown": False,
    "targetBlank": False,
    "includeVars": True,
    "keepTime": True,
}


def _variables(told_by: str, *, lanes: bool) -> list[dict[str, Any]]:
    chosen: list[dict[str, Any]] = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0},
        _label_values("namespace", "Namespace", f"label_values({told_by}, namespace)"),
        _label_values("release", "Release", f'label_values({told_by}{{namespace=~"$namespace"}}, release)'),
    ]
    if lanes:
        chosen.append(_choice("lane", "Lane") | {"type": "custom", "query": "live,backfill,late"})
    # Hidden; links of the panels begin with it. Whoever keeps the runbook elsewhere changes it here.
    return [*chosen, {"name": "runbook", "type": "constant", "query": "docs/runbook.md", "hide": 2}]


def _label_values(name: str, label: str, query: str) -> dict[str, Any]:
    return _choice(name, label) | {"type": "query", "datasource": _SOURCE, "query": query, "refresh": 2, "sort": 1}


def _choice(name: str, label: str) -> dict[str, Any]:
    """All at first. `.*` also takes series without the label: outside Kubernetes there is none."""
    everything = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return {"name": name, "label": label, "hide": 0, "multi": True, "includeAll": True, "allValue": ".*", "current": everything}


def _placed(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """From the left, and on to a new line where a panel does not fit."""
    made: list[dict[str, Any]] = []
    top = number = 0
    for row in rows:
        number += 1
        heading = {
            "type": "row",
            "id": number,
            "title": row.title,
            "collapsed": row.closed,
            "gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1},
        }
        top, left, tallest, inside = top + 1, 0, 0, []
        for panel in row.panels:
            number += 1
            if left + panel.width > _COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            height = _HEIGHTS[panel.kind]
            inside.append(_panel(panel, number, {"x": left, "y": top, "w": panel.width, "h": height}))
            left, tallest = left + panel.width, max(tallest, height)
        top += tallest
        made += [heading | {"panels": inside}] if row.closed else [heading | {"panels": []}, *inside]
    return made


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "gridPos": dict(place),
        "datasource": _SOURCE,
        "links": [
            {"title": f"Runbook: {alert}", "url": f"${{runbook}}#{alert.lower()}", "targetBlank": True} for alert in panel.alerts
        ],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": scoped(query.expression),
                "legendFormat": query.legend,
                "instant": False,
                "range": True,
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


_OPTIONS: Final[Mapping[Kind, dict[str, Any]]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "graphMode": "area",
        "colorMode": "value",
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "state-timeline": {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    },
}


def _defaults(panel: Panel) -> dict[str, Any]:
    """Of every series of a panel. Nothing we tell is negative but a clock's skew, which no axis shows."""
    timeline = panel.kind == "state-timeline"
    colours = ("red", "green") if timeline else ("green", "orange", "red")
    values = (None, 1) if timeline else (None, *(panel.steps or ()))
    thresholds = {"mode": "absolute", "steps": [{"color": c, "value": v} for c, v in zip(colours, values, strict=False)]}
    made: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": thresholds}
    made["color"] = {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"}
    if panel.most is not None:
        made["max"] = panel.most
    if panel.kind == "timeseries":
        made["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
    elif timeline:
        made["custom"] = {"lineWidth": 0, "fillOpacity": 80}
    return made
