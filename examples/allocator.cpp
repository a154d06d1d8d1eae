// SPDX-License-Identifier: GPL-2.0 OR MIT
//
// What an allocator does: each CPU has a list of free blocks. Threads on that CPU push and pop
// blocks without an atomic instruction. When memory is short, a thread on another CPU takes the
// whole list, without stopping that CPU.
//
//	c++ -std=c++17 allocator.cpp $(pkg-config --cflags --libs libcpu_opv) -lpthread

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <system_error>
#include <cerrno>
#include <thread>
#include <vector>

#include <percpu.h>

class Pool {
	struct alignas(128) List {
		percpu_list list = {};
	};
	struct Block {
		percpu_list_node node = {};
		std::byte data[64 - sizeof(percpu_list_node)];
	};
	std::vector<List> lists{static_cast<std::size_t>(percpu_nr_cpus())};

	static int check(int ret)
	{
		if (ret < 0)
			throw std::system_error(errno, std::generic_category(), "libcpu_opv");
		return ret;
	}

public:
	std::atomic<long> allocated{0}, freed{0};

	Pool() = default;
	Pool(const Pool &) = delete;
	Pool &operator=(const Pool &) = delete;
	~Pool()
	{
		for (int cpu = 0; cpu < percpu_nr_cpus(); cpu++)
			drain(cpu);
	}

	void *get()
	{
		const int cpu = percpu_current_cpu();
		percpu_list_node *node = nullptr;

		if (check(percpu_list_pop(&lists[cpu].list, &node, cpu)) == 0)
			return node;
		allocated++;
		return new Block;
	}

	void put(void *block)
	{
		const int cpu = percpu_current_cpu();
		auto *node = static_cast<percpu_list_node *>(block);

		check(percpu_list_push(&lists[cpu].list, node, cpu));
	}

	// Frees the blocks of any CPU.
	void drain(int cpu)
	{
		percpu_list_node *node = nullptr;

		check(percpu_list_take_all(&lists[cpu].list, &node, cpu));
		while (node) {
			percpu_list_node *next = node->next;

			delete reinterpret_cast<Block *>(node);
			freed++;
			node = next;
		}
	}
};

int main()
{
	long allocated, freed;
	{
		auto pool = std::make_unique<Pool>();
		std::vector<std::thread> workers;
		std::atomic<bool> stop{false};
		std::thread drainer([&] {
			while (!stop)
				for (int cpu = 0; cpu < percpu_nr_cpus(); cpu++)
					pool->drain(cpu);
		});

		for (int i = 0; i < 4; i++)
			workers.emplace_back([&] {
				for (int round = 0; round < 2000; round++) {
					void *a = pool->get(), *b = pool->get();

					pool->put(a);
					pool->put(b);
				}
			});
		for (auto &worker : workers)
			worker.join();
		stop = true;
		drainer.join();
		for (int cpu = 0; cpu < percpu_nr_cpus(); cpu++)
			pool->drain(cpu);
		allocated = pool->allocated;
		freed = pool->freed;
	}
	percpu_counts counts = {};

	percpu_get_counts(&counts);
	std::printf("allocated %ld blocks, freed %ld\n", allocated, freed);
	std::printf("vectors: %zu, locked: %zu, aborts: %zu\n", counts.vectors, counts.locked,
		    counts.aborts);
	return allocated != freed;
}
