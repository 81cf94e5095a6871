# Stands in for the rust-package.mk of OpenWrt's packages: says what would be built, and how.

RUST_ARCH_DEPENDS:=@rust
CARGO_PKG_PROFILE:=release

define Build/Compile/Cargo
$(info cargo $(1): $(CARGO_PKG_PROFILE))
endef
