/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The hash of the sources that an object was made of: see the script `build`. */
#ifndef SOURCE_BPF_H
#define SOURCE_BPF_H

#include <bpf/bpf_helpers.h>

const char source_hash[] SEC("source") = SOURCE_HASH;

#endif
