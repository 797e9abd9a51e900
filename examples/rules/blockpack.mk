# The images of a deployment, for Make (GNU).
#
#   DEPLOYMENT := www            # the directory that has blockpack.toml
#   DIST       := dist           # where the images go
#   VOLUMES    := site media     # those that other rules need, as $(DIST)/site.img
#   include blockpack.mk
#
# They are built again when a file in a volume, or the manifest, is changed, added or removed: the
# depfile names them all. What depends on one image is made again when that one changed.

BLOCKPACK ?= blockpack
DEPLOYMENT ?= .
DIST ?= dist

.PHONY: images
images: $(DIST)/manifest.json

$(DIST)/manifest.json: $(DEPLOYMENT)/blockpack.toml
	$(BLOCKPACK) build $(DEPLOYMENT) --out $(DIST) --depfile $(DIST).d

# An image is there when the record is; its own time is that of its last change.
blockpack-images := $(VOLUMES:%=$(DIST)/%.img)
$(blockpack-images): $(DIST)/manifest.json ;

# But somebody may have removed it.
ifneq ($(filter-out $(wildcard $(blockpack-images)),$(blockpack-images)),)
.PHONY: $(DIST)/manifest.json
endif

-include $(DIST).d
