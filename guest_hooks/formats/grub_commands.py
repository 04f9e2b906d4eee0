"""Which of GRUB's commands load something, and which variables GRUB sets before it reads a menu."""

LOADERS = ("linux", "linux16", "linuxefi", "multiboot", "multiboot2", "xen_hypervisor")
INITRDS = ("initrd", "initrd16", "initrdefi", "module", "module2", "xen_module")
OTHER_LOADERS = (
    "chainloader",
    "configfile",
    "legacy_configfile",
    "kfreebsd",
    "ntldr",
    "knetbsd",
    "kopenbsd",
    "loopback",
    "xnu_kernel64",
)
FEATURES = {  # GRUB grub-core/normal/main.c: features[]
    "feature_chainloader_bpb": "y",
    "feature_ntldr": "y",
    "feature_platform_search_hint": "y",
    "feature_default_font_path": "y",
    "feature_all_video_module": "y",
    "feature_menuentry_id": "y",
    "feature_menuentry_options": "y",
    "feature_200_final": "y",
    "feature_nativedisk_cmd": "y",
    "feature_timeout_style": "y",
}
