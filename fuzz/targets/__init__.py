"""All targets, by name."""

from fuzz.target import Target
from fuzz.targets import compared, debian, enclave, guests, images, machines, project, proofs, tools

MODULES = (project, proofs, images, debian, machines, enclave, guests, tools, compared)
TARGETS: dict[str, Target] = {
    target.name: target for module in MODULES for target in module.TARGETS
}
