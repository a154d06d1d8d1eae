/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_TYPES_32_64_H
#define _UAPI_LINUX_TYPES_32_64_H

/*
 * Pointer fields of one layout for 32-bit and 64-bit user space.
 *
 * A structure that user space shares with the kernel needs no compat entry when
 * its pointers are 64 bits wide in every ABI.  On a 64-bit ABI such a field is
 * a plain __u64.  On a 32-bit ABI it is a __u32 of the field's own name, placed
 * where the low half of the __u64 is, and a __u32 <field>_padding in the place
 * of the high half, which must be zero.
 */

#include <linux/types.h>

/*
 * LINUX_FIELD_u32_u64(field) declares the structure member field.  It has no
 * alignment beyond that of the integers, so the enclosing structure has to
 * place it at a multiple of eight bytes.
 *
 * LINUX_FIELD_u32_u64_INIT_ONSTACK(field, v) gives it the pointer v as value,
 * and clears the padding.  In an initializer field is a designator, elsewhere
 * an lvalue.
 */

#ifdef __LP64__

#define LINUX_FIELD_u32_u64(field)	__u64 field
#define LINUX_FIELD_u32_u64_INIT_ONSTACK(field, v) \
	field = (unsigned long)(v)

#elif __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__

#define LINUX_FIELD_u32_u64(field)	__u32 field ## _padding, field
#define LINUX_FIELD_u32_u64_INIT_ONSTACK(field, v) \
	field ## _padding = 0, field = (unsigned long)(v)

#else

#define LINUX_FIELD_u32_u64(field)	__u32 field, field ## _padding
#define LINUX_FIELD_u32_u64_INIT_ONSTACK(field, v) \
	field = (unsigned long)(v), field ## _padding = 0

#endif

#endif /* _UAPI_LINUX_TYPES_32_64_H */
