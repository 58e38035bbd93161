"""Which solver to take: for flows, and for forecasts of them. Loads no JAX."""

STIFF = 400.0
"""Above this stiffness Tsit5 is held by stability, not accuracy, and the stabilised method needs a
third of its evaluations of the field or fewer (erf, 100 images of MNIST, rtol 1e-4: half of them at
240, a fifth at 500, a twelfth at 3,000)."""

LOOSE = 1e-5
"""Below this rtol a method of order 2 takes more steps than stability asks of Tsit5."""

DENSE = 400
"""Numbers in a state up to which the systems of an implicit method are cheap."""


def default_solver(
    stiffness: float,
    *,
    size: int,
    smooth: bool = True,
    rtol: float = 1e-4,
    precise: bool = True,
) -> str:
    """Choose the solver for a flow, by name.

    `stiffness` is the largest eigenvalue of the kernel times mu t (for reduction "mean", divided by
    the number of examples); `size` counts the numbers of the state; `smooth` is False for networks
    with kinks (ReLU), where methods of order 2 gain nothing. Tsit5 unless the flow is stiff: it
    needs about 1.7 evaluations of the field for each unit of stiffness. Then Kvaerno5, whose steps
    solve dense systems, for states of up to 400 numbers in float64 (`precise`: in float32 the
    systems are not solved well enough, and it may reject steps without end), else the stabilised
    explicit method where it wins: smooth fields and rtol of 1e-5 or more.

    >>> default_solver(50, size=10), default_solver(1e4, size=10), default_solver(1e4, size=10**6)
    ('tsit5', 'kvaerno5', 'rkc')
    """
    if stiffness <= STIFF:
        return "tsit5"
    if size <= DENSE and precise:
        return "kvaerno5"
    return "rkc" if smooth and rtol >= LOOSE else "tsit5"
