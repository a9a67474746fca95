"""Scores from saved predictions, by other libraries than the hub's own metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pytrec_eval
from nltk.tokenize import NLTKWordTokenizer
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import f1_score as entity_f1
from sklearn.metrics import accuracy_score, f1_score, r2_score
from sklearn.preprocessing import MultiLabelBinarizer

import hub_core as hub

#: A row of ``predictions.jsonl``.
Record = Mapping[str, Any]
Scores = dict[str, float]


def classes(records: Sequence[Record], module: str) -> Scores:  # noqa: ARG001
    """One label of several."""
    gold, predicted = [row["gold"] for row in records], [row["predicted"] for row in records]
    macro = f1_score(gold, predicted, average="macro")
    return {"accuracy": float(accuracy_score(gold, predicted)), "macro_f1": float(macro)}


def entities(records: Sequence[Record], module: str) -> Scores:  # noqa: ARG001
    """Spans of BIO labels."""
    return {"f1": float(entity_f1([row["gold"] for row in records], [row["predicted"] for row in records]))}


def label_sets(records: Sequence[Record], module: str) -> Scores:  # noqa: ARG001
    """Several labels at once."""
    gold, predicted = [row["gold"] for row in records], [row["predicted"] for row in records]
    sets = MultiLabelBinarizer().fit([*gold, *predicted])
    tables = sets.transform(gold), sets.transform(predicted)
    return {f"{kind}_f1": float(f1_score(*tables, average=kind, zero_division=0)) for kind in ("micro", "macro")}


def numbers(records: Sequence[Record], module: str) -> Scores:  # noqa: ARG001
    """A number."""
    gold, predicted = [float(row["gold"]) for row in records], [float(row["predicted"]) for row in records]
    return {
        "spearman": float(spearmanr(gold, predicted).statistic),
        "pearson": float(pearsonr(gold, predicted).statistic),
        "r2": float(r2_score(gold, predicted)),
    }


def similarities(records: Sequence[Record], module: str) -> Scores:
    """Cosines of pairs, and the ranking of all second texts for every first one that has a match."""
    network = hub.Module(directory=module)
    seconds = list(dict.fromkeys(row["text_pair"] for row in records))
    firsts = list(dict.fromkeys(row["text"] for row in records))
    cosines = (
        np.asarray(network.get_embedding(firsts, normalize=True))
        @ np.asarray(network.get_embedding(seconds, normalize=True)).T
    )
    at = {text: number for number, text in enumerate(seconds)}, {text: number for number, text in enumerate(firsts)}
    found = [cosines[at[1][row["text"]], at[0][row["text_pair"]]] for row in records]
    relevant: dict[str, dict[str, int]] = {}
    for row in records:
        if float(row["gold"]) > 0.5:
            relevant.setdefault(str(at[1][row["text"]]), {})[str(at[0][row["text_pair"]])] = 1
    run = {}
    for query in relevant:
        scores = cosines[int(query)]
        run[query] = {str(place): float(scores[place]) for place in np.argsort(-scores, kind="stable")[:10]}
    judged = pytrec_eval.RelevanceEvaluator(relevant, {"recip_rank", "ndcg_cut.10", "recall.1,10"}).evaluate(run)
    names = {"mrr@10": "recip_rank", "ndcg@10": "ndcg_cut_10", "recall@1": "recall_1", "recall@10": "recall_10"}
    ranking = {ours: float(np.mean([row[theirs] for row in judged.values()])) for ours, theirs in names.items()}
    return {"spearman": float(spearmanr([float(row["gold"]) for row in records], found).statistic), **ranking}


def places(records: Sequence[Record], module: str) -> Scores:  # noqa: ARG001
    """The hidden tokens of texts."""
    gold = [token for row in records for token in row["gold"]]
    candidates = [[one["token"] for one in place] for row in records for place in row["candidates"]]
    return {
        "accuracy": float(accuracy_score(gold, [names[0] for names in candidates])),
        "recall@k": float(np.mean([token in names for token, names in zip(gold, candidates, strict=True)])),
    }


def answers(records: Sequence[Record], module: str) -> Scores:  # noqa: ARG001
    """CMRC2018's measures, by its own description: difflib finds the longest run that two answers share."""
    judged = [_judged([one["text"] for one in row["gold"]], row["predicted"]) for row in records]
    exact, f1 = np.mean(judged, axis=0).tolist()
    return {"exact": exact, "f1": f1}


_MARKS = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"


def _judged(gold: Sequence[str], answer: str) -> tuple[float, float]:
    found = _segments(answer)
    best = (0.0, 0.0)
    for one in gold:
        wanted = _segments(one)
        run = SequenceMatcher(None, found, wanted, autojunk=False).find_longest_match().size
        f1 = 2 * run / (len(found) + len(wanted)) if run else 0.0
        best = max(best[0], float(_plain(answer) == _plain(one))), max(best[1], f1)
    return best


def _plain(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in _MARKS)


def _segments(text: str) -> list[str]:
    pieces = re.split(r"([\u4e00-\u9fa5])", _plain(text))
    return [segment for piece in pieces for segment in NLTKWordTokenizer().tokenize(piece) if segment]
