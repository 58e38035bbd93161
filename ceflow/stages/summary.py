from ceflow.blocks.content import *  # noqa: F403
