"""Find named entities with the checkpoint that train.py left, as PaddleHub's example does.

python examples/sequence_labeling/predict.py --checkpoint ckpt/best_model
"""

from __future__ import annotations

import argparse

import hub_core as hub

TEXTS = [
    "去年十二月二十四日，市委书记张敬涛召集县市主要负责同志研究信访工作时，提出三问：『假如上访群众是我们的父母姐妹，你会用什么样的感情对待他们？",
    "新华社北京5月7日电国务院副总理李岚清今天在中南海会见了美国前商务部长芭芭拉·弗兰克林。",
    "根据测算，海卫1表面温度已经从“旅行者”号探测器1989年造访时的零下236摄氏度上升到零下234摄氏度。",
    "华裔作家韩素音女士曾三次到大足，称“大足石窟是一座未被开发的金矿”。",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="ckpt/best_model")
    parser.add_argument("--use-gpu", action="store_true")
    options = parser.parse_args()

    label_map = dict(enumerate(hub.datasets.MSRA_NER.label_list))
    model = hub.Module(
        name="ernie_tiny",
        version="2.0.1",
        task="token-cls",
        label_map=label_map,
        load_checkpoint=options.checkpoint,
    )
    data = [["\002".join(text)] for text in TEXTS]
    results = model.predict(data, max_seq_len=50, batch_size=1, use_gpu=options.use_gpu)
    for text, labels in zip(TEXTS, results, strict=True):
        print(f"Data: {text}\nLabel: {', '.join(labels[1 : len(text) + 1])}\n")


if __name__ == "__main__":
    main()
