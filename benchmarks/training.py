"""Steps of training beside PyTorch, in turns: seconds of a step, of the first one, and memory; of
an ensemble of 12 MLPs on digits, seconds of an epoch, also of several replicas.

Set CEFLOW_PEER_TORCH to the python of an environment with PyTorch in it. Each of both has a process
of its own and two threads. A step is forward, backward and SGD with momentum and weight decay. A
call takes two of them; the first one compiles, and memory is the largest that a process holds in
later ones.

    python -m benchmarks.training [CASE ...]
"""

import sys
from dataclasses import dataclass

from benchmarks.peer import Peer
from benchmarks.timing import in_turns


@dataclass(frozen=True)
class Case:
    """A training that the scripts of both peers know by its name."""

    name: str
    batch: int
    runs: int = 9
    """Steps of each peer that are timed."""


CASES = (
    Case("resnext-29-10x10d", 16),
    Case("resnext-29-37x10d", 16, 5),
    Case("resnext-29-1x128d", 16),
    Case("wide-resnet-28-10", 8, 5),
    Case("ensemble-modules", 50, 25),
    Case("ensemble-stacked", 50, 25),
)

REPLICAS = (1, 10, 100)
"""Numbers of replicas of the ensemble that are trained together."""


def main(names: tuple[str, ...] = ()) -> None:
    """Print seconds, memory and ratios of all cases, or of those named."""
    for case in CASES:
        if not names or case.name in names:
            compare(case)
    if not names or "replicas" in names:
        replicas()


def replicas() -> None:
    """Print seconds of an epoch of several replicas of the ensemble in turns, and of the first."""
    peers = [
        Peer(sys.executable, "ceflow_training.py", f"ensemble-{count}", "50") for count in REPLICAS
    ]
    rounds = [[peer() for peer in peers] for _ in range(9)]
    for count, peer, times in zip(REPLICAS, peers, zip(*rounds, strict=True), strict=True):
        first, memory = _start(peer)
        middle = sorted(times)[len(times) // 2]
        print(
            f"  {count} replicas of the ensemble: {middle:.3f} s an epoch, {middle / count:.4f} s"
            f" each; first {first:.1f} s, {memory:.2f} GB"
        )
        peer.close()


def compare(case: Case) -> None:
    """Print seconds, memory and ratios of one case."""
    arguments = (case.name, str(case.batch))
    ours = Peer(sys.executable, "ceflow_training.py", *arguments)
    peer = Peer.find("CEFLOW_PEER_TORCH", "torch_training.py", *arguments)
    label = f"  {case.name}, batch {case.batch}"
    first, memory = _start(ours)
    if peer is None:
        times = sorted(ours() for _ in range(case.runs))
        print(f"{label}: {times[len(times) // 2]:.3f} s, first {first:.1f} s, {memory:.2f} GB")
    else:
        their_first, their_memory = _start(peer)
        mine, theirs, ratio = in_turns(ours, peer, case.runs)
        print(f"{label}: {mine:.3f} s, PyTorch {theirs:.3f} s, ratio {ratio:.2f}")
        print(
            f"    first call {first:.1f} s and {their_first:.1f} s; memory {memory:.2f} GB and"
            f" {their_memory:.2f} GB, ratio {memory / their_memory:.2f}"
        )
        peer.close()
    ours.close()


def _start(peer: Peer) -> tuple[float, float]:
    """Seconds of the first call, and GB held at most in the calls after it."""
    first, memory = map(float, peer.first.split())
    return first, memory / 1e9


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
