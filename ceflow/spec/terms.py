"""The words and symbols of reports: what `ceflow explain` says of them, and `spec/glossary.md`."""

from typing import NamedTuple


class Term(NamedTuple):
    """A word of the reports: other ways to write it, what it means, and where it is defined."""

    also: tuple[str, ...]
    text: str
    chapter: str


TERMS = {
    "inputs": Term(
        ("flips", "normalise", "zca", "whitening", "scale"),
        "What is done to the inputs of the data before a network sees them, in this order:"
        " `flips` adds the mirror image of each training image; `normalise` acts on each input"
        " or coordinate; `zca` whitens by the second moments of the training inputs; `scale`"
        " multiplies.",
        "data.md#inputs",
    ),
    "alpha": Term(
        ("α",),
        "The one constant of the law of the variance, E[K²]/E[K]² = exp(alpha S) (CE eq. 2"
        " and 9). It depends on the activation and the kind of layer, not on the widths, if"
        " they are large.",
        "semantics.md#the-fit-of-alpha",
    ),
    "S": Term(
        ("Σ 1/fan-in", "fan-in sum"),
        "The sum of 1/n over the widths n of the hidden layers of one member: a measure of"
        " how narrow it is. The variance of its kernel grows with S.",
        "semantics.md#the-law-of-the-variance",
    ),
    "Var/E²": Term(
        ("variance", "Var(K)/E[K]²"),
        "The variance over random weights of an entry K of the NTK, divided by the square of"
        " its mean. Of an ensemble of m members it is 1/m of that of a member. The smaller it"
        " is, the more the network behaves like an infinitely wide one at initialisation. Of a"
        " ResNeXt it is that of one block of the first stage: it compares groupings of one"
        " depth, and says nothing of depth.",
        "semantics.md#the-law-of-the-variance",
    ),
    "E[K]": Term(
        ("mean",),
        "The mean over random weights of one entry K of the NTK, here K(x, x) of one input."
        " It depends on the depth and the variances of the weights, not on the widths, in NTK"
        " parameterisation without bias: then it is the same in all rows of the table.",
        "semantics.md#the-law-of-the-variance",
    ),
    "E[K²]/E[K]²": Term(
        ("moment ratio", "moment_ratio"),
        "The second moment of an NTK entry over the square of its mean: 1 + Var/E². It is 1 at"
        " infinite width.",
        "semantics.md#the-law-of-the-variance",
    ),
    "widths": Term(
        ("width", "fan-in"),
        "Numbers of units of the hidden layers, written `5 x 19` if all five are 19. The"
        " fan-in of a layer is the number of its inputs: the width of the layer before. Of a"
        " ResNeXt the width is that of a group, as in `14x8d`.",
        "semantics.md#the-law-of-the-variance",
    ),
    "method": Term(
        ("exact", "monte-carlo", "sampler"),
        "How moments are found: `exact` by formulas, without sampling; otherwise over random"
        " weights, with standard errors.",
        "semantics.md#the-fit-of-alpha",
    ),
    "95 % interval": Term(
        ("±", "s.e.", "interval of alpha"),
        "The range that holds the true number in 95 of 100 such experiments; ± is one standard"
        " error. A search over the interval of alpha gives the best widths at both of its ends.",
        "semantics.md#the-fit-of-alpha",
    ),
    "intercept": Term(
        (),
        "The law has none: log E[K²]/E[K]² = alpha S passes through 0. A line that may miss 0"
        " is fitted too, as a check; if its alpha is far from the other, the law does not hold"
        " well.",
        "semantics.md#the-fit-of-alpha",
    ),
    "residual of log": Term(
        ("residual",),
        "log E[K²]/E[K]² as measured, minus alpha S: how far a point is from the law.",
        "semantics.md#the-fit-of-alpha",
    ),
    "rho": Term(
        ("ρ", "efficiency"),
        "The efficiency: the cost of the baseline divided by the cost of the network (CE eq."
        " 8 and 15). A dual with rho = 8.7 has the baseline's variance at 1/8.7 of its cost.",
        "semantics.md#the-search",
    ),
    "cost": Term(
        ("parameters", "flops", "macs", "latency", "budget"),
        "What a search counts: parameters, FLOPs (a multiplication and an addition are two; MACs"
        " are half), or the seconds of a forward pass. It is that of the baseline, or at most"
        " the `budget`, as `budget = {macs = 4e9}`.",
        "stages.md#search",
    ),
    "objective": Term(
        ("optimum",),
        "What a search makes least, or largest, over the widths: the variance at the baseline's"
        " cost (primal), the efficiency at its variance (dual). The optimum is where it is so.",
        "semantics.md#the-search",
    ),
    "baseline": Term(
        (),
        "The network of the [model], with which a search compares ensembles.",
        "semantics.md#the-search",
    ),
    "primal": Term(
        ("optimally smooth",),
        "The ensemble that costs as much as the baseline, or fits into the budget, and whose"
        " kernel has the least variance (CE eq. 10).",
        "semantics.md#the-search",
    ),
    "dual": Term(
        ("optimally compact",),
        "The ensemble whose kernel has the variance of the baseline's, and that costs least"
        " (CE eq. 13).",
        "semantics.md#the-search",
    ),
    "on the curve": Term(
        ("m on the curve", "real m", "multiplicity_exact"),
        "Values of the theory, in which a number m of members need not be whole. The network"
        " that is written has whole members, so its cost and variance differ a little.",
        "semantics.md#the-search",
    ),
    "over the best": Term(
        ("ratio on curve", "near-optimal"),
        "The objective of a candidate divided by that of the best one: 1.01 is one per cent"
        " worse. A flat optimum has many near-optimal widths, of which you may take the most"
        " convenient.",
        "semantics.md#the-search",
    ),
    "strong duality": Term(
        ("duality", "duality gap"),
        "The primal and the dual, solved apart, have the same widths. It holds but for"
        " rounding, unless a single member with the primal's widths varies less than the"
        " baseline.",
        "semantics.md#the-search",
    ),
    "multiplicity": Term(
        ("members", "cardinality", "group", "groups", "m"),
        "The number of members of an ensemble, or of groups of a ResNeXt. `364x19d` has 364"
        " members of width 19.",
        "semantics.md#networks",
    ),
    "NTK": Term(
        ("neural tangent kernel", "K"),
        "K(x, x') = sum over parameters of dF(x)/dtheta dF(x')/dtheta: how a step of training"
        " at x' moves the output at x. In infinitely wide networks it is fixed, and training"
        " is kernel regression with it.",
        "semantics.md#the-neural-tangent-kernel",
    ),
    "NNGP": Term(
        (),
        "The covariance of the outputs of a network over its random weights. At infinite width"
        " the outputs are a Gaussian process with it; at finite widths it is estimated by the"
        " products of the outputs of networks drawn.",
        "semantics.md#infinite-width",
    ),
    "neural mean kernel": Term(
        ("mean kernel", "NMK"),
        "E[K], the mean of the NTK over random weights at the widths given (CE eq. 5). An"
        " ensemble's kernel tends to it as members are added, so it is what a smooth ensemble"
        " of narrow members trains with; it need not be the NTK of infinite width.",
        "semantics.md#kernels-that-are-drawn",
    ),
    "spread": Term(
        (),
        "How much the kernels of networks drawn differ from one another, relative to their"
        " mean: the root of the variance, summed over all entries.",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "distance": Term(
        ("distance from", "distance of the mean kernel"),
        "|K - R|/|R| in Frobenius norm, with R the reference: that of one network, as a mean"
        " over draws, and that of the mean of the kernels drawn. The second falls to the"
        " distance of the neural mean kernel as draws are added, not to 0.",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "alignment": Term(
        (),
        "The cosine between a kernel and that of the targets, Y Yᵀ: 1 if they are proportional.",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "kernel regression": Term(
        ("regression", "ridge regression"),
        "The function K(x, X) (K + r I)^-1 Y, which fits the training targets Y. With the NTK and"
        " r = 0 it is what an infinitely wide network learns by gradient flow, averaged over its"
        " random start. A kernel stage with the key `ridge` computes it.",
        "semantics.md#the-posterior",
    ),
    "accuracy": Term(
        ("training accuracy", "test accuracy", "train_accuracy", "test_accuracy", "test_error"),
        "The fraction of examples whose class is predicted: the class of the largest output, or of"
        " the sign of the one output if targets are signed. The error is 1 - accuracy.",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "trace": Term(
        (),
        "The sum of the diagonal of a kernel, and of its eigenvalues: over the N examples, N times"
        " the mean of K(x, x).",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "noise": Term(
        ("ridge",),
        "The variance of the noise that a kernel regression assumes of each target: the ridge"
        " times the mean diagonal entry of the kernel.",
        "semantics.md#the-posterior",
    ),
    "posterior": Term(
        ("standard deviation", "std"),
        "What a Gaussian process says of the outputs at test examples once it has seen the"
        " training targets: a mean, which is kernel regression, and a standard deviation, which"
        " has no noise in it. Of a flow, the standard deviation is that of trained networks over"
        " their random initial weights.",
        "semantics.md#the-posterior",
    ),
    "NLL": Term(
        ("negative log likelihood",),
        "Minus the log of the Gaussian density that is predicted at a test target, the mean over"
        " test examples and outputs, in nats. Lower is better; it can be below 0, as a density"
        " can be above 1.",
        "semantics.md#the-posterior",
    ),
    "coverage": Term(
        ("50 %", "90 %", "interval"),
        "The fraction of test targets that lie in the intervals which should hold 50 % or 90 % of"
        " them. More means that the predicted standard deviations are too large, less that they"
        " are too small.",
        "semantics.md#the-posterior",
    ),
    "log loss": Term(
        ("cross-entropy",),
        "Minus the log of the probability that is predicted of the true class, the mean over test"
        " examples, in nats. Lower is better; log 10 = 2.3 is what guessing among ten classes has.",
        "semantics.md#the-posterior",
    ),
    "calibration error": Term(
        ("ECE", "expected calibration error", "calibration"),
        "How far the probability of the predicted class is from the fraction of such predictions"
        " that are right, the mean over test examples in 15 bins of confidence; 0 is best, but few"
        " test examples alone give more.",
        "semantics.md#the-posterior",
    ),
    "power of the targets": Term(
        ("power", "cumulative power"),
        "How much of the mean square of the targets is along each eigenvector of a kernel. A kernel"
        " regression learns modes of large eigenvalues from few examples.",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "learning curve": Term(
        ("predicted",),
        "The error of kernel regression on unseen examples against the number of training examples,"
        " predicted from the eigenvalues of a kernel and the power of the targets.",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "condition number": Term(
        ("condition",),
        "The largest eigenvalue of the kernel divided by the smallest: how much slower the"
        " slowest direction is learned than the fastest.",
        "semantics.md#measures-of-a-kernel-stage",
    ),
    "drift": Term(
        ("drift of the NTK", "drift_relative"),
        "How far the NTK has moved in training: the median over pairs of |K(t) - K(0)|;"
        " relative, the same in Frobenius norm over |K(0)|. It is 0 in an infinitely wide"
        " network without a bottleneck.",
        "semantics.md#gradient-flow",
    ),
    "mu t": Term(
        ("time",),
        "Time of gradient flow, in units of the learning rate: after k small steps of rate mu"
        " it is k mu.",
        "semantics.md#gradient-flow",
    ),
    "step": Term(
        ("steps",),
        "One change of the weights in a training, by the gradient of one batch.",
        "semantics.md#training-in-steps",
    ),
    "collect": Term(
        ("level", "over", "by", "band", "bar"),
        "A [collect] table sets a number of every run of a sweep against another. `by` gives"
        " each value its curve; `over` averages, and draws one standard error of the mean as a"
        " bar or a band; `level` asks for the first x at which a curve comes to it.",
        "sweeps.md#collect",
    ),
    "bottleneck": Term(
        ("d", "size"),
        "A layer of finite width d between infinitely wide ones. The kernel of such a network"
        " depends on the weights, and moves in training.",
        "semantics.md#networks-with-a-bottleneck",
    ),
    "largest stable rate": Term(
        ("largest stable", "learning rate", "largest_learning_rate"),
        "The learning rate beyond which gradient descent at the start grows instead of"
        " falling: 2 over the largest eigenvalue of the NTK times the curvature of the loss."
        " It changes as the kernel moves.",
        "semantics.md#training-in-steps",
    ),
}
"""The terms, in the order of a report."""


def known(word: str) -> tuple[str, Term] | None:
    """Find a term by its name or one of its other forms, in any case; None if there is none.

    >>> known("ρ")[0], known("Rho")[0], known("x")
    ('rho', 'rho', None)
    """
    plain = word.strip().lower()
    for name, term in TERMS.items():
        if word == name or word in term.also:
            return name, term
    for name, term in TERMS.items():
        if plain in (each.lower() for each in (name, *term.also)):
            return name, term
    return None
