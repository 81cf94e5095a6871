# Stands in for OpenWrt's package.mk: names each package, what it depends on, and what goes where;
# then what is built.

define BuildPackage
$(eval $(Package/$(1)))$(info $(1) $(PKG_VERSION): $(DEPENDS))$(foreach word,$(call Package/$(1)/install,/dest),$(if $(filter /dest/usr/bin/%,$(word)),$(info $(word))))
endef

all:
	$(Build/Compile)
