// SPDX-License-Identifier: GPL-2.0

#include <linux/cacheflush.h>
#include <linux/page-flags.h>

__rust_helper bool rust_helper_PageAnon(const struct page *page)
{
	return PageAnon(page);
}

__rust_helper bool rust_helper_PageHWPoison(const struct page *page)
{
	return PageHWPoison(page);
}

__rust_helper void rust_helper_flush_dcache_page(struct page *page)
{
	flush_dcache_page(page);
}
