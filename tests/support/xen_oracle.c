/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What Xen's domain builder says of an image, without Xen: libxenguest with a dummy interface.
 *
 * Reads requests from stdin (container type and size as 32-bit numbers, then the image), answers each with one byte on stdout:
 * 1 accepted, 0 refused, C it crashed or did not end. Each image has a process of its own.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenguest.h>

static int accepts(uint32_t container, const void *image, size_t size)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, XC_OPENFLAG_DUMMY);
    struct xc_dom_image *dom = xch ? xc_dom_allocate(xch, NULL, NULL) : NULL;

    if (!dom)
        abort();
    dom->container_type = container;
    /* what a hypervisor that runs every kind of guest says of itself */
    strcpy(dom->xen_caps, "xen-3.0-x86_64 xen-3.0-x86_32p hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64");
    return xc_dom_kernel_mem(dom, image, size) == 0 && xc_dom_parse_image(dom) == 0;
}

int main(void)
{
    uint32_t request[2];

    while (fread(request, sizeof(request), 1, stdin) == 1) {
        void *image = malloc(request[1] ? request[1] : 1);
        int status;
        pid_t child;

        if (!image || (request[1] && fread(image, request[1], 1, stdin) != 1))
            return 1;
        child = fork();
        if (child < 0)
            return 1;
        if (child == 0) {
            alarm(10);
            _exit(accepts(request[0], image, request[1]) ? 0 : 3);
        }
        if (waitpid(child, &status, 0) != child)
            return 1;
        free(image);
        putchar(!WIFEXITED(status) ? 'C' : WEXITSTATUS(status) == 0 ? '1' : '0');
        fflush(stdout);
    }
    return 0;
}
