// SPDX-License-Identifier: GPL-2.0

#include <linux/cacheflush.h>
#include <linux/mm.h>
#include <linux/page-flags.h>

__rust_helper bool rust_helper_PageAnon(const struct page *page)
{
	return PageAnon(page);
}

__rust_helper bool rust_helper_is_page_hwpoison(const struct page *page)
{
	return is_page_hwpoison(page);
}

__rust_helper bool rust_helper_is_zero_page(const struct page *page)
{
	return is_zero_page(page);
}

__rust_helper void rust_helper_flush_dcache_page(struct page *page)
{
	flush_dcache_page(page);
}
