/* semihost.h on the host: a firmware's main() becomes an ordinary process, which sanitizers can watch. */
#include "semihost.h"

#include <stdio.h>
#include <stdlib.h>

static FILE *files[8];

void board_exit(int status)
{
    exit(status);
}

int board_open(const char *name, int mode)
{
    int i = 0;
    while (i < 7 && files[i] != NULL)
        i++;
    files[i] = fopen(name, mode == BOARD_READ ? "rb" : "wb");
    return files[i] == NULL ? -1 : i;
}

size_t board_read(int file, void *data, size_t size)
{
    return fread(data, 1, size, files[file]);
}

size_t board_write(int file, const void *data, size_t size)
{
    return fwrite(data, 1, size, files[file]);
}

int board_close(int file)
{
    const int status = fclose(files[file]);
    files[file] = NULL;
    return status;
}
