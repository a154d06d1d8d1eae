// SPDX-License-Identifier: GPL-2.0
/*
 * What a call has to do, by Documentation/userspace-api/cpu_opv.rst: byte after
 * byte, and with nothing of how the kernel does it.
 */
#include <string.h>

#include "fuzz.h"

struct page *model_page(uint64_t address, enum area_kind *kind, size_t *index, size_t *offset)
{
	for (*kind = 0; *kind < KERNEL; ++*kind) {
		uint64_t distance = address - (uint64_t)areas[*kind].base;

		if (distance < AREA_PAGES * page_size) {
			*index = distance / page_size;
			*offset = distance % page_size;
			return &areas[*kind].pages[*index];
		}
	}
	return NULL;
}

/* A piece of an operand that lies in one page. */
struct piece {
	struct page *page;
	enum area_kind kind;
	size_t offset, len;
};

/* Returns the piece at the start of what is left of an operand, and takes it off. */
static struct piece next_piece(uint64_t *address, size_t *len)
{
	struct piece piece;
	size_t index;

	piece.page = model_page(*address, &piece.kind, &index, &piece.offset);
	piece.len = *len;
	if (piece.page && piece.len > page_size - piece.offset)
		piece.len = page_size - piece.offset;
	*address += piece.len;
	*len -= piece.len;
	return piece;
}

bool model_is_accessible(uint64_t address, size_t len, bool write)
{
	while (len) {
		struct piece piece = next_piece(&address, &len);

		if (!piece.page || !(write ? piece.page->writable : piece.page->readable))
			return false;
	}
	return true;
}

static bool may_fault(uint64_t address, size_t len)
{
	bool may = false;

	while (len) {
		struct piece piece = next_piece(&address, &len);

		may |= piece.page && areas[piece.kind].may_fault;
	}
	return may;
}

/* Reads memory, and which of it may be anything. */
static void load(uint64_t address, uint8_t *to, uint8_t *unknown, size_t len)
{
	while (len) {
		struct piece piece = next_piece(&address, &len);

		memcpy(to, piece.page->content->bytes + piece.offset, piece.len);
		memcpy(unknown, piece.page->content->unknown + piece.offset, piece.len);
		to += piece.len;
		unknown += piece.len;
	}
}

static void store(uint64_t address, const uint8_t *from, const uint8_t *unknown, size_t len)
{
	while (len) {
		struct piece piece = next_piece(&address, &len);
		struct content *content = piece.page->content;

		memcpy(content->bytes + piece.offset, from, piece.len);
		memcpy(content->unknown + piece.offset, unknown, piece.len);
		for (size_t i = 0; i < piece.len; i++)
			content->has_unknown |= unknown[i];
		from += piece.len;
		unknown += piece.len;
	}
}

void model_read(uint64_t address, void *to, size_t len)
{
	uint8_t unknown[len + 1];

	load(address, to, unknown, len);
}

/* Do two areas have memory in common, be it at two addresses? */
static bool overlap(uint64_t a, uint64_t b, size_t len)
{
	for (size_t a_left = len; a_left;) {
		struct piece x = next_piece(&a, &a_left);
		uint64_t other = b;

		for (size_t b_left = len; b_left;) {
			struct piece y = next_piece(&other, &b_left);

			if (x.page->content == y.page->content && x.offset < y.offset + y.len &&
			    y.offset < x.offset + x.len)
				return true;
		}
	}
	return false;
}

/* ---- operations ------------------------------------------------------------------ */

static bool is_area(const struct cpu_op *op)
{
	switch (op->op) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		return true;
	}
	return false;
}

static bool is_copy(const struct cpu_op *op)
{
	return op->op == CPU_MEMCPY_OP || op->op == CPU_MEMCPY_RELEASE_OP;
}

static bool is_valid(const struct cpu_op *op)
{
	if (is_area(op))
		return op->len <= CPU_OP_DATA_LEN_MAX;

	switch (op->op) {
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		if (op->u.shift_op.bits >= 8ULL * op->len)
			return false;
		/* fall through */
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
	case CPU_OR_OP:
	case CPU_AND_OP:
	case CPU_XOR_OP:
		return op->len == 1 || op->len == 2 || op->len == 4 || op->len == 8;
	case CPU_MB_OP:
		return op->len == 0;
	}
	return false;
}

struct operand {
	uint64_t address;
	bool write, expects_fault;
};

/* Lists the operands of a valid operation, and returns how many there are. */
static int list_operands(const struct cpu_op *op, struct operand *operands)
{
	const uint8_t *bytes = (const uint8_t *)op;
	uint64_t words[4];

	if (op->op == CPU_MB_OP || op->len == 0)
		return 0;
	/* By offsets, as the documentation has them. */
	memcpy(words, op, sizeof(words));
	operands[0].address = words[1];
	if (is_area(op)) {
		operands[0].write = is_copy(op);
		operands[0].expects_fault = bytes[24];
		operands[1].address = words[2];
		operands[1].write = false;
		operands[1].expects_fault = bytes[25];
		return 2;
	}
	operands[0].write = true;
	operands[0].expects_fault = op->op == CPU_LSHIFT_OP || op->op == CPU_RSHIFT_OP ? bytes[20] : bytes[24];
	return 1;
}

/* Calls @visit with each page that an operand of the vector touches. */
static void for_each_page(const struct cpu_op *ops, int count, void (*visit)(struct piece, bool write, void *), void *data)
{
	struct operand operands[2];

	for (int i = 0; i < count; i++)
		for (int k = list_operands(&ops[i], operands) - 1; k >= 0; k--) {
			uint64_t address = operands[k].address;
			size_t len = ops[i].len;

			while (len) {
				struct piece piece = next_piece(&address, &len);

				if (piece.page)
					visit(piece, operands[k].write, data);
			}
		}
}

void model_examine(const struct cpu_op *ops, int count, struct model *model)
{
	struct operand operands[2];
	uint64_t sum = 0;

	for (int i = 0; i < count; i++) {
		model->is_invalid |= !is_valid(&ops[i]);
		sum += ops[i].len;
	}
	model->is_invalid |= sum > CPU_OP_VEC_DATA_LEN_MAX;
	if (model->is_invalid)
		return;

	for (int i = 0; i < count; i++)
		for (int k = list_operands(&ops[i], operands) - 1; k >= 0; k--) {
			bool accessible = model_is_accessible(operands[k].address, ops[i].len, operands[k].write);

			model->may_fault |= may_fault(operands[k].address, ops[i].len);
			if (accessible)
				continue;
			if (operands[k].expects_fault)
				model->faults_expected = true;
			else
				model->faults = true;
		}
}

/* ---- a private mapping of a file that is stored to -------------------------------- */

static void see_store_to_file(struct piece piece, bool write, void *data)
{
	if (write && (piece.kind == SHARED || piece.kind == ALIAS))
		*(bool *)data = true;
}

/* A page that is stored to is copied before the vector runs. */
static void copy_from_file(struct piece piece, bool write, void *data)
{
	bool stores_to_file = *(bool *)data;

	if (!piece.page->shares_file || !(write || stores_to_file))
		return;
	memcpy(piece.page->own.bytes, piece.page->content->bytes, page_size);
	memcpy(piece.page->own.unknown, piece.page->content->unknown, page_size);
	piece.page->own.has_unknown = piece.page->content->has_unknown;
	piece.page->content = &piece.page->own;
	/* It shows the old contents within the vector. Whether it does afterwards is not specified. */
	if (write)
		piece.page->shares_file = piece.page->unchecked = false;
	else
		piece.page->unchecked = true;
}

static void see_unchecked(struct piece piece, bool write, void *data)
{
	(void)write;
	*(bool *)data |= piece.page->unchecked;
}

/* ---- running ---------------------------------------------------------------------- */

static uint64_t to_number(const uint8_t *bytes, uint32_t len)
{
	uint16_t two;
	uint32_t four;
	uint64_t eight;

	switch (len) {
	case 1:
		return bytes[0];
	case 2:
		memcpy(&two, bytes, 2);
		return two;
	case 4:
		memcpy(&four, bytes, 4);
		return four;
	}
	memcpy(&eight, bytes, 8);
	return eight;
}

static void from_number(uint8_t *bytes, uint32_t len, uint64_t value)
{
	uint16_t two = value;
	uint32_t four = value;

	if (len == 1)
		bytes[0] = value;
	else if (len == 2)
		memcpy(bytes, &two, 2);
	else if (len == 4)
		memcpy(bytes, &four, 4);
	else
		memcpy(bytes, &value, 8);
}

static void update(const struct cpu_op *op)
{
	uint8_t bytes[8], unknown[8];
	bool is_unknown = false;
	uint64_t words[4], value;

	memcpy(words, op, sizeof(words));
	load(words[1], bytes, unknown, op->len);
	for (uint32_t i = 0; i < op->len; i++)
		is_unknown |= unknown[i];
	memset(unknown, is_unknown, sizeof(unknown));
	value = to_number(bytes, op->len);
	switch (op->op) {
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
		value += words[2];
		break;
	case CPU_OR_OP:
		value |= words[2];
		break;
	case CPU_AND_OP:
		value &= words[2];
		break;
	case CPU_XOR_OP:
		value ^= words[2];
		break;
	case CPU_LSHIFT_OP:
		value <<= (uint32_t)words[2];
		break;
	case CPU_RSHIFT_OP:
		value >>= (uint32_t)words[2];
		break;
	}
	from_number(bytes, op->len, value);
	store(words[1], bytes, unknown, op->len);
}

/* Runs a vector of which nothing faults. Returns what the call has to. */
int model_run(const struct cpu_op *ops, int count, struct model *model)
{
	static uint8_t a[CPU_OP_DATA_LEN_MAX], b[CPU_OP_DATA_LEN_MAX];
	static uint8_t a_unknown[CPU_OP_DATA_LEN_MAX], b_unknown[CPU_OP_DATA_LEN_MAX];
	bool stores_to_file = false;
	uint64_t words[4];

	for_each_page(ops, count, see_store_to_file, &stores_to_file);
	for_each_page(ops, count, copy_from_file, &stores_to_file);
	for_each_page(ops, count, see_unchecked, &model->rereads);

	for (int i = 0; i < count; i++) {
		uint32_t len = ops[i].len;

		memcpy(words, &ops[i], sizeof(words));
		switch (ops[i].op) {
		case CPU_COMPARE_EQ_OP:
		case CPU_COMPARE_NE_OP:
			load(words[1], a, a_unknown, len);
			load(words[2], b, b_unknown, len);
			for (uint32_t k = 0; k < len; k++)
				model->uncertain |= a_unknown[k] || b_unknown[k];
			if (model->uncertain)
				return 0;
			if (!memcmp(a, b, len) != (ops[i].op == CPU_COMPARE_EQ_OP))
				return i + 1;
			break;
		case CPU_MEMCPY_OP:
		case CPU_MEMCPY_RELEASE_OP:
			load(words[2], a, a_unknown, len);
			if (overlap(words[1], words[2], len))
				memset(a_unknown, 1, len);
			store(words[1], a, a_unknown, len);
			break;
		case CPU_MB_OP:
			break;
		default:
			update(&ops[i]);
		}
	}
	return 0;
}
