// SPDX-License-Identifier: GPL-2.0
/* Runs the inputs in files, or in the files of directories, without libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned int nr_inputs;

static void replay_file(const char *path)
{
	uint8_t data[MAX_BYTES];
	FILE *file = fopen(path, "r");
	size_t size;

	if (!file)
		give_up(path);
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* If this does not come back, the last line tells which one it was. */
	printf("input %s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	nr_inputs++;
}

static void replay(const char *path)
{
	struct dirent **names;
	struct stat status;
	int nr;

	if (stat(path, &status))
		give_up(path);
	if (!S_ISDIR(status.st_mode)) {
		replay_file(path);
		return;
	}
	nr = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < nr; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			replay_file(name);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	/* A pin that was left behind is one of any of them. */
	check_kernel();
	printf("%u inputs ran as they should\n", nr_inputs);
	return nr_inputs ? 0 : 1;
}
