"""Fine-tune ERNIE-Tiny to find named entities: PaddleHub's example, with the import replaced and torch's optimizer.

HUB_DATA_HOME=/path/to/data python examples/sequence_labeling/train.py --epochs 3
"""

from __future__ import annotations

import argparse

import torch

import hub_core as hub


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder with train.tsv, dev.tsv, test.tsv (default: HUB_DATA_HOME/msra_ner)")
    parser.add_argument("--checkpoint-dir", default="ckpt")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-seq-len", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--use-gpu", action="store_true")
    options = parser.parse_args()

    label_map = dict(enumerate(hub.datasets.MSRA_NER.label_list))
    torch.manual_seed(42)  # of the new head's weights
    model = hub.Module(name="ernie_tiny", version="2.0.1", task="token-cls", label_map=label_map)

    train, dev, test = (
        hub.datasets.MSRA_NER(
            tokenizer=model.get_tokenizer(), max_seq_len=options.max_seq_len, mode=mode, data_dir=options.data_dir
        )
        for mode in ("train", "dev", "test")
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate)
    trainer = hub.Trainer(model, optimizer, checkpoint_dir=options.checkpoint_dir, use_gpu=options.use_gpu)
    trainer.train(train, epochs=options.epochs, batch_size=options.batch_size, eval_dataset=dev)
    print(trainer.evaluate(test, batch_size=options.batch_size)["metrics"])


if __name__ == "__main__":
    main()
