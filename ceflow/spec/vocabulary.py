"""Words of other tools, and what this language calls the same things."""

import re
from collections.abc import Collection, Mapping

Words = Mapping[str, list[str]]
"""Names in this language, by the normalised word of another tool."""

_OTHERS: dict[str, str] = {
    # a document
    "seed": "rng random_state random_seed rng_seed prng key manual_seed",
    "precision": "dtype float_type default_dtype x64 enable_x64",
    "name": "experiment experiment_name run_name title project",
    "data": "dataset datasets dataloader data_module",
    "model": "network net architecture arch module backbone",
    "stages": "tasks jobs pipeline experiments analyses",
    "sweep": "grid hyperparameters param_grid search_space product",
    "collect": "aggregate gather summary plots",
    # data
    "source": "dataset dataset_name loader kind",
    "path": "root folder dir directory file filename data_dir data_path data_root",
    "train": "n_train num_train train_size train_samples ntrain samples n_samples num_samples size"
    " n",
    "test": "n_test num_test test_size test_samples ntest val validation n_val val_size eval",
    "points": "n_points num_points samples n_samples num_samples n saves log_every eval_every",
    "targets": "labels target encoding label_encoding one_hot",
    "classes": "class_names categories digits only",
    "flips": "flip mirror mirrored hflip fliplr flip_lr horizontal_flip",
    "augment": "augmentation augmentations transform transforms random_crop random_flip crop",
    "zca": "whiten whitening zca_whitening zca_reg zca_bias zca_eps zca_epsilon",
    "normalise": "normalize normalization normalisation standardize standardise norm whiten",
    "length": "lengthscale length_scale",
    # a model
    "type": "kind class class_name cls _target_",
    "widths": "width hidden hidden_size hidden_sizes hidden_dim hidden_dims hidden_layers"
    " hidden_layer_sizes layers num_layers n_layers depth units filters channels features neurons"
    " layer_sizes dims width_size",
    "inputs": "in_features in_dim in_size input input_dim input_size input_shape n_inputs"
    " num_inputs n_features d_in dim d in_channels in_chans image_size img_size",
    "outputs": "out_features out_dim out_size output output_dim output_size n_outputs num_outputs"
    " d_out num_classes n_classes classes out_channels",
    "activation": "nonlinearity act act_fn act_layer activation_fn activation_function phi sigma",
    "weight_variance": "sigma_w sigmaw w_std w_var weight_std w_variance init_scale gain cw",
    "last_variance": "last_w_std sigma_last readout_std output_scale",
    "bias_variance": "sigma_b sigmab b_std b_var bias_std b_variance bias use_bias cb",
    "multiplicity": "n_members num_members members ensemble_size n_estimators num_models n_models"
    " n_networks num_ensembles m",
    "member": "base base_model base_estimator estimator net network",
    "cardinality": "groups num_groups n_groups group",
    "base_width": "width_per_group widths width bottleneck_width group_width filters planes"
    " num_filters init_filters",
    "blocks": "layers depth depths num_blocks n_blocks stages stage_sizes block_counts num_layers",
    "channels": "in_channels num_channels n_channels out_channels filters features"
    " num_filters out_chans",
    "projection": "downsample shortcut skip project",
    "size": "latent latent_dim latent_size code_size bottleneck bottleneck_size bottleneck_dim"
    " width d units",
    # a layer
    "layers": "modules features sequential stack blocks children",
    "body": "layers branch path residual main block",
    "shortcut": "skip identity downsample projection proj",
    "repeat": "times count copies n num depth repeats",
    "units": "out_features features width n outputs out_dim d_out neurons",
    "kernel": "kernel_size filter_size filter_shape size k kernel_shape",
    "stride": "strides step",
    "padding": "pad border padding_mode",
    "groups": "feature_group_count num_groups n_groups cardinality depth_multiplier",
    "window": "kernel_size pool_size window_shape size k kernel",
    "heads": "num_heads n_heads nhead n_head",
    "head_width": "head_dim key_size key_dim d_k qk_size dim_head d_head",
    "rate": "p prob probability drop drop_rate",
    "axes": "axis normalized_shape dims over",
    "affine": "elementwise_affine scale use_scale use_bias learned",
    "epsilon": "eps",
    "parameterisation": "parameterization param",
    # stages
    "draws": "n_draws num_draws trials n_trials samples n_samples num_samples seeds n_seeds"
    " num_seeds repeats replicas monte_carlo_samples",
    "replicas": "n_replicas num_replicas repeats seeds n_seeds num_seeds runs draws trials",
    "error": "tol tolerance rtol rel_error",
    "tolerance": "tol slack error",
    "rtol": "tol tolerance rel_tol reltol",
    "atol": "abs_tol abstol",
    "kind": "get kernel_type",
    "method": "mode algorithm how estimator",
    "tile": "chunk chunk_size block_size batch batch_size",
    "ridge": "diag_reg reg regularization regularisation lambda lamda l2 noise jitter nugget",
    "test_blocks": "test test_rows k_test_train cross_kernel test_kernel",
    "from": "path file filename load load_from precomputed kernel_path kernel_file source array",
    "reference": "compare_to relative_to baseline target",
    "entries": "pairs indices",
    "ratios": "fractions widths width_ratios",
    "time": "t t_max t_end t1 tmax horizon duration final_time",
    "times": "ts save_at saveat t_eval",
    "solver": "integrator ode_solver method",
    "record": "log metrics track save watch logging callbacks",
    "steps": "n_steps num_steps max_steps iterations n_iterations num_iterations iters n_iter"
    " max_iter num_iters updates train_steps",
    "epochs": "n_epochs num_epochs max_epochs passes",
    "batch": "batch_size batchsize minibatch mini_batch bs",
    "learning_rate": "lr eta step_size stepsize rate alpha",
    "moments": "checkpoints eval_steps log_steps save_steps",
    "optimizer": "optim optimiser opt algorithm",
    "momentum": "beta mu heavy_ball",
    "betas": "beta1 beta2 b1 b2 beta",
    "weight_decay": "wd l2 l2_penalty decoupled_weight_decay",
    "decay": "no_decay no_bias_decay bias_decay_mult decay_mask",
    "schedule": "scheduler lr_scheduler lr_schedule sched decay_epochs milestones",
    "at": "milestones boundaries step steps decay_epochs epochs",
    "factor": "gamma decay_rate decay_factor drop",
    "warmup": "warmup_steps warmup_epochs num_warmup_steps warm_up",
    "clip": "clip_grad clip_norm max_norm grad_clip gradient_clip max_grad_norm",
    "average": "ema model_ema ema_decay swa averaging",
    "label_smoothing": "smoothing smooth",
    "compute": "amp mixed_precision compute_dtype autocast",
    "loss": "loss_fn loss_function criterion objective",
    "stop": "early_stop early_stopping stopping target_loss until",
    "cost": "objective measure resource",
    "parameters": "params n_params num_params param_count parameter_count",
    "flops": "gflops mflops",
    "macs": "gmacs mmacs mult_adds multiply_adds",
    "budget": "max_params max_parameters max_flops constraint limit",
    "compare": "baselines others against",
    "claims": "claim theorems lemmas tests checks",
}
"""Words of other tools for each key of the language."""

_OTHER_VALUES: dict[str, str] = {
    "leaky-relu": "lrelu",
    "linear": "identity none id",
    "abs": "absolute modulus",
    "sin": "sine siren",
    "silu": "swish",
    "idx": "mnist fashion-mnist kmnist qmnist ubyte",
    "emnist": "letters emnist-letters emnist-balanced",
    "cifar10": "cifar",
    "cifar100": "cifar-100",
    "imagenet32": "imagenet downsampled-imagenet imagenet32x32",
    "imagenet64": "imagenet64x64",
    "images": "imagefolder image-folder folder jpeg png tiny-imagenet imagenette",
    "table": "csv tsv parquet tabular dataframe pandas spreadsheet",
    "npz": "numpy npy arrays array file torch h5 hdf5",
    "gaussian": "normal random randn synthetic noise",
    "deep-gp": "gp deep-gaussian-process gaussian-process",
    "digits": "load-digits sklearn",
    "network": "layers sequential tree custom cnn convnet",
    "dense": "linear fc fully-connected inner-product affine",
    "convolution": "conv conv1d conv2d convolution2d convolutional depthwise",
    "batch-norm": "bn batchnorm1d batchnorm2d batch-normalization batch-normalisation",
    "layer-norm": "ln layernorm2d layer-normalization group-norm rms-norm",
    "scale": "layer-scale layerscale gamma gain channel-scale",
    "position-embedding": "pos-embed pos-embedding positional-embedding positional-encoding"
    " position-encoding learned-position",
    "token-mixing": "mixer mixer-block mlp-mixer token-mixer tokens",
    "average-pool": "avgpool avg-pool avgpool2d averagepooling averagepooling2d mean-pool",
    "max-pool": "maxpool2d maxpooling maxpooling2d",
    "global-average": "gap global-avg-pool globalaveragepooling globalaveragepooling2d"
    " adaptive-avg-pool adaptiveavgpool2d global-average-pool",
    "sequence": "sequential serial chain stage repeated-layers layer-list",
    "residual": "skip shortcut add fan-in-sum res residual-block",
    "attention": "mha multihead-attention self-attention global-self-attention transformer",
    "mlp": "fc fcn fcnn dnn ffn nn dense feedforward fully-connected perceptron sequential",
    "ensemble": "deep-ensemble ensembles",
    "resnext": "resnet resnet50 resnet101 resnext50 resnext29 wide-resnet",
    "bottleneck": "autoencoder",
    "kernel": "ntk nngp gp gram",
    "variance": "moments alpha",
    "search": "optimise optimize optimisation optimization primal dual",
    "flow": "gradient-flow ode dynamics train",
    "train": "sgd gd training fit optimizer",
    "verify": "theorem check test",
    "float32": "float single f32 fp32 torch.float32 32",
    "float64": "double f64 fp64 torch.float64 64",
    "mse": "l2 squared squared-error mean-squared-error mseloss",
    "cross-entropy": "ce xent nll log-loss softmax logistic crossentropyloss"
    " categorical-crossentropy",
    "mean": "average avg",
    "analytic": "infinite exact closed-form limit",
    "empirical": "finite sample monte-carlo",
    "monte-carlo": "mc sampled empirical",
    "closed-form": "exact analytic",
    "parameters": "params n-params weights",
    "flops": "macs gflops",
    "latency": "time seconds",
    "tsit5": "rk45 dopri5 runge-kutta rk4 euler",
    "dopri8": "dop853",
    "kvaerno5": "implicit bdf stiff radau",
    "rkc": "rock2 rock4 stabilised",
    "unit": "l2 sphere norm",
    "contrast": "gcn global-contrast-normalization global-contrast-normalisation layer-norm centre"
    " center",
    "standard": "standardize standardise zscore z-score whiten",
    "one-hot": "onehot categorical",
    "raw": "regression none labels",
    "power": "powerlaw power-law loglog",
    "grid": "product cartesian",
}
"""Words of other tools for each value of the language."""

_OTHER_COLUMNS: dict[str, str] = {
    "width": "widths n channels filters features neurons units planes base_width hidden hidden_size"
    " bottleneck_width width_per_group",
    "multiplicity": "groups num_groups n_groups group cardinality members n_members num_members"
    " ensemble_size n_estimators num_models n_models count m",
    "seconds": "latency latencies latency_s latency_sec latency_seconds time times time_s time_sec"
    " duration runtime elapsed sec secs s second t",
}
"""Words of other tools for each column of a latency file."""

_NOTES = {
    "widths": "one number for each hidden layer, as widths = [512, 512]",
    "weight_variance": "a variance: a standard deviation of 1.5 is 2.25",
    "last_variance": "a variance: a standard deviation of 1.5 is 2.25",
    "bias_variance": "a variance, 0 for no biases: a standard deviation of 0.1 is 0.01",
    "blocks": "one number for each stage, as blocks = [3, 4, 6, 3]",
    "data": 'a table, as [data] with source = "digits"',
    "idx": 'which reads the files of MNIST and its kin, with path = "mnist"',
    "stop": "as stop = {train_loss = 0.01}",
    "budget": "as budget = {parameters = 5e6}",
    "flips": "true adds the mirror image of each training image",
    "zca": "a number, the regularisation relative to the mean eigenvalue, such as 0.1",
    "tile": "the rows of a square tile on disk",
}
"""Notes on keys and values that are written differently in other tools."""

_ABSENT = {
    "dropout batch_norm batchnorm layer_norm norm_layer": "no layer of this network does that; a"
    ' model of type = "network" has such layers',
    "device gpu cuda num_workers": "JAX chooses the device; no key does",
    "out out_dir output_dir log_dir logdir": "the command line says it: ceflow run SPEC --out DIR",
    "version": "ceflow = 1 says the version of the language",
}
"""Features of other tools that this language lacks, and what to do instead."""

_NO_KEYS = {
    "in_features in_channels in_chans in_dim input_size input_dim input_shape inputs num_features"
    " d_in": "leave it out: it is that of the layer before",
    "dilation dilation_rate rhs_dilation": "leave it out: kernels are not dilated here",
}
"""Keys of layers in other tools that a layer lacks here, and what to do instead."""

_NO_VALUES = {
    "regression kernel_regression krr ridge ridge_regression gp_regression posterior": "a kernel"
    ' stage with a ridge, as type = "kernel", method = "analytic" and ridge = 1e-3',
    "softmax log_softmax": "a network ends in the layer before the softmax, which belongs to"
    ' loss = "cross-entropy"',
    "sigmoid logistic": "there is no sigmoid; a tanh of other weights and biases is the same",
}
"""Values of other tools that this language lacks, and what to do instead."""


def plain(word: str) -> str:
    """Normalise a word: remove what differs between spellings.

    >>> plain("Leaky_ReLU")
    'leakyrelu'
    """
    return re.sub(r"[-_ .]", "", word).lower()


def _by_word(table: dict[str, str]) -> Words:
    meanings: dict[str, list[str]] = {}
    for ours, others in table.items():
        for word in others.split():
            meanings.setdefault(plain(word), []).append(ours)
    return meanings


KEYS = _by_word(_OTHERS)
VALUES = _by_word(_OTHER_VALUES)
COLUMNS = _by_word(_OTHER_COLUMNS)


def _each(table: dict[str, str]) -> dict[str, str]:
    return {plain(word): help for words, help in table.items() for word in words.split()}


ABSENT, NO_KEYS, NO_VALUES = map(_each, (_ABSENT, _NO_KEYS, _NO_VALUES))

DROPS = frozenset(
    map(plain, ("at", "factor", "milestones", "boundaries", "decay_epochs", "gamma", "lr_decay"))
)
"""Words for the moments and the factor of drops of the learning rate, which are a table here."""
DROPS_FORM = "drops of the rate are a table, schedule = {at = [0.5, 0.75], factor = 0.1}"

OPTIMISERS = frozenset(map(plain, ("optimizer", "optim", "optimiser")))


def known_as(word: str, candidates: Collection[str], table: Words) -> str | None:
    """Find the candidate that has this name in other tools, or in another spelling.

    >>> known_as("groups", ["type", "cardinality"], KEYS), known_as("ReLU", ["relu"], VALUES)
    ('cardinality', 'relu')
    """
    spelt = [each for each in candidates if plain(each) == plain(word)]
    meant = [each for each in table.get(plain(word), ()) if each in candidates]
    return next(iter(spelt + meant), None)


_EXAMPLES = {
    "base_width": "base_width = 64",
    "blocks": "blocks = [3, 4, 6, 3]",
    "body": 'body = ["relu", {type = "convolution", channels = 64}]',
    "at": "at = [0.5, 0.75]",
    "claims": 'claims = ["lemma-1"]',
    "decoder": "decoder = {widths = [inf]}",
    "encoder": "encoder = {widths = [inf]}",
    "inputs": "inputs = 10",
    "label": 'label = "class"',
    "layers": 'layers = [{type = "dense", units = 64}, "relu", {type = "dense"}]',
    "member": "member = {widths = [64, 64]}",
    "model": 'model = {type = "mlp", widths = [512, 512]}; or see `ceflow init`',
    "multiplicity": "multiplicity = 8",
    "name": 'name = "relu"',
    "outputs": "outputs = 5",
    "path": 'path = "data/mnist"',
    "segments": "segments = [{widths = [inf]}, {widths = [inf]}, {widths = [inf]}]",
    "size": "size = 10",
    "sizes": "sizes = [10, 5]",
    "table": 'table = "results.csv"',
    "time": "time = 10.0, in units of one over the learning rate",
    "train": "train = 500",
    "train_loss": "train_loss = 0.01",
    "window": "window = 2",
    "widths": "widths = [512, 512]",
    "x": 'x = "model.multiplicity"',
    "y": 'y = "stages.NAME.KEY"',
}
"""An example for each required key."""


def example(key: str) -> str:
    """Return an example for a missing key.

    >>> example("blocks")
    'as blocks = [3, 4, 6, 3]'
    """
    return f"as {_EXAMPLES[key]}" if key in _EXAMPLES else ""


def note(ours: str) -> str:
    """Return the note on a key or value of the language, as the end of a sentence."""
    return f": {_NOTES[ours]}" if ours in _NOTES else ""
