"""Infinite-width kernels of images beside neural-tangents, in turns, and what compiling takes.

Set CEFLOW_PEER_NEURAL_TANGENTS to the python of an environment with neural-tangents in it. Each of
both has a process of its own, whose first call compiles; the compilation is what the first call
takes longer than later ones.

    python -m benchmarks.images [NETWORK SIZE N]
"""

import statistics
import sys

from benchmarks.peer import Peer
from benchmarks.timing import in_turns

CASES = (("flat", 16, 64), ("pooled", 16, 16), ("pooled", 8, 24), ("myrtle", 32, 2))
"""Networks of both peers' scripts, with the size of images and their number."""

STARTS = 3
"""Number of times that each is started; of the seconds to compile, the median counts."""


def main() -> None:
    """Print seconds and ratios of all cases."""
    for case in CASES:
        compare(*case)


def compare(network: str, size: int, n: int) -> None:
    """Print seconds and ratios of one case."""
    arguments = (network, str(size), str(n))
    label = f"  {network}, {size}x{size}, N = {n}"
    firsts: list[tuple[float, float]] = []
    steady = (0.0, 0.0, 0.0)
    for _ in range(STARTS):
        peer = Peer.find("CEFLOW_PEER_NEURAL_TANGENTS", "neural_tangents_images.py", *arguments)
        ours = Peer(sys.executable, "ceflow_images.py", *arguments)
        if peer is None:
            print(f"{label}: {statistics.median(ours() for _ in range(5)):.3f} s")
            ours.close()
            return
        firsts.append((float(ours.first), float(peer.first)))
        steady = in_turns(ours, peer, 7)
        ours.close()
        peer.close()
    mine, theirs, ratio = steady
    print(f"{label}: {mine:.3f} s, neural-tangents {theirs:.3f} s, ratio {ratio:.2f}")
    first = tuple(map(statistics.median, zip(*firsts, strict=True)))
    print(
        f"    first call {first[0]:.2f} s and {first[1]:.2f} s, ratio {first[0] / first[1]:.2f};"
        f" compilation {first[0] - mine:.2f} s and {first[1] - theirs:.2f} s"
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        compare(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
