"""What a search understands: Chinese words for what manifests say in English."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: A Chinese word, and what stands for it in a manifest: any of these. None: what every module is.
TERMS: Mapping[str, tuple[str, ...]] = {
    "中文": ("chinese",),
    "汉语": ("chinese",),
    "英文": ("english",),
    "英语": ("english",),
    "多语言": ("many languages",),
    "多语种": ("many languages",),
    "情感": ("sentiment",),
    "评论": ("review",),
    "向量": ("embedding",),
    "嵌入": ("embedding",),
    "相似度": ("similarity",),
    "相似": ("similarity",),
    "检索": ("search",),
    "搜索": ("search",),
    "重排序": ("reranker",),
    "重排": ("reranker",),
    "排序": ("reranker",),
    "命名实体识别": ("token-cls",),
    "命名实体": ("token-cls",),
    "实体识别": ("token-cls",),
    "实体": ("token-cls",),
    "序列标注": ("token-cls",),
    "分类": ("classification", "seq-cls"),
    "匹配": ("matching",),
    "问答": ("question-answering",),
    "阅读理解": ("question-answering",),
    "填空": ("masked-lm",),
    "掩码": ("masked-lm",),
    "金融": ("finance",),
    "医疗": ("medical",),
    "医学": ("medical",),
    "蒸馏": ("distilled",),
    "词": ("word",),
    **dict.fromkeys(("模型", "文本", "语义", "分析", "任务", "预训练"), ()),
}
_TERM = re.compile("|".join(sorted(TERMS, key=len, reverse=True)))
#: What is as good as a word that is searched: the code of a language where summaries name it.
_ALSO: Mapping[str, tuple[str, ...]] = {"zh": ("zh", "chinese")}


def understood(words: str | Iterable[str]) -> list[tuple[str, ...]]:
    """What is looked for: of each tuple one must be found. Chinese words may be written together.

    >>> understood("ALBERT 中文分类模型")
    [('albert',), ('chinese',), ('classification', 'seq-cls')]
    """
    found: list[tuple[str, ...]] = []
    for word in words.split() if isinstance(words, str) else words:
        terms = _TERM.findall(word)
        if terms and "".join(terms) == word:
            found += [TERMS[term] for term in terms if TERMS[term]]
        else:
            found.append(_ALSO.get(word.casefold(), (word.casefold(),)))
    return found
