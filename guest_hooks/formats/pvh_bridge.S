/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The code that carries a PVH core image over GRUB's `linux` command (pvh_bridge.py puts a Linux setup header before it and the
 * core image after it).
 *
 * The 32-bit boot protocol of Linux enters at `start`: esi = boot_params, flat segments, paging off, interrupts off. What the
 * core image wants is Xen's PVH entry: ebx = struct hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h).
 *
 * The loader may have put this file anywhere from 1 MiB up, also over the core's own destination. So everything from `info` to
 * `core` first moves to the boot_params page, which the loader gave away and which is low memory; then, if the core image lies below the
 * end of what it unpacks to, it moves up to that end; only then are its segments copied, from above to below.
 *
 * as --32, then objcopy -O binary: the bytes are CODE in pvh_bridge.py, and a test compares them.
 */

        .set    BP_RSDP, 0x70           /* boot_params.acpi_rsdp_addr, 8 bytes */
        .set    BP_SCRATCH, 0x1e4       /* boot_params.scratch, 4 bytes for a loader-less stack */
        .set    LOW_PAGE, 0x8000        /* used where boot_params is not low memory */
        .set    DEBUG_PORT, 0xe9        /* Xen's debug console: xl dmesg */

        .text
        .code32
start:
        cli
        cld
        leal    BP_SCRATCH + 4(%esi), %esp
        call    1f
1:      popl    %ebp
        subl    $(1b - start), %ebp     /* ebp = where this file's protected-mode part was put */
        movl    BP_RSDP(%esi), %eax
        movl    BP_RSDP + 4(%esi), %edx
        movl    %eax, %ecx
        orl     %edx, %ecx
        jz      refuse
        movl    %esi, %ebx              /* ebx = the page to work in */
        cmpl    $0xff000, %esi
        jbe     2f
        movl    $LOW_PAGE, %ebx
2:      movl    %ebx, %edi
        leal    (info - start)(%ebp), %esi
        movl    $(core - info), %ecx
        rep movsb
        movl    %eax, (info_rsdp - info)(%ebx)
        movl    %edx, (info_rsdp + 4 - info)(%ebx)
        leal    (empty - info)(%ebx), %ecx
        movl    %ecx, (info_cmdline - info)(%ebx)
        leal    (runner - info)(%ebx), %ecx
        jmp     *%ecx

        .org    0x60
info:                                   /* struct hvm_start_info, version 1 */
        .long   0x336ec578, 1, 0, 0     /* magic, version, flags, nr_modules */
        .quad   0                       /* modlist_paddr */
info_cmdline:
        .quad   0                       /* cmdline_paddr: GRUB 2.14 reads the string there without asking for 0 */
info_rsdp:
        .quad   0
        .quad   0                       /* memmap_paddr: GRUB asks Xen */
        .long   0, 0                    /* memmap_entries, reserved */
empty:  .long   0

        .org    0xa0
top:    .long   0                       /* filled in by wrap(): end of what the core unpacks to */
size:   .long   0                       /* bytes of the core image */
entry:  .long   0                       /* PHYS32_ENTRY */
        .long   0
segments:                               /* offset in the core image, physical address, bytes there, zeros after; ends with address 0 */
        .fill   4 * 9, 4, 0

runner:
        leal    (core - start)(%ebp), %esi
        movl    (top - info)(%ebx), %edi
        cmpl    %edi, %esi
        jae     3f
        movl    (size - info)(%ebx), %ecx
        leal    -1(%esi, %ecx), %esi
        leal    -1(%edi, %ecx), %edi
        std
        rep movsb
        cld
        movl    (top - info)(%ebx), %esi
3:      movl    %esi, %ebp              /* ebp = the core image */
        leal    (segments - info)(%ebx), %edx
4:      movl    4(%edx), %edi
        testl   %edi, %edi
        jz      5f
        movl    (%edx), %esi
        addl    %ebp, %esi
        movl    8(%edx), %ecx
        rep movsb
        xorl    %eax, %eax
        movl    12(%edx), %ecx
        rep stosb
        addl    $16, %edx
        jmp     4b
5:      jmp     *(entry - info)(%ebx)

/*
 * A PVH GRUB always has the RSDP; any other loader has no business here, and without it Linux takes the guest for HVM and finds no disk.
 */
refuse:
        leal    (message - start)(%ebp), %esi
6:      lodsb
        testb   %al, %al
        jz      7f
        outb    %al, $DEBUG_PORT
        jmp     6b
7:      hlt
        jmp     7b
message:
        .asciz  "xen-guest-bootloader: halted: the loader of the PVH bridge gave no RSDP\n"

        .org    0x200
core:
