/* A unikernel that prints files of the tar archive that is its block device "site".
 *
 * It reads what `blockpack pack --profile mirage` writes: names of up to 100 bytes, of which the
 * first header with that name counts; extended headers are passed over like files.
 */
#include "solo5.h"

enum { BLOCK = 512, SECTOR = 4096 };

static solo5_handle_t disk;
static struct solo5_block_info device;
static uint8_t sector[SECTOR];

/* The 512 bytes at `offset`, which lie in one sector of the device. */
static const uint8_t *at(uint64_t offset)
{
    uint64_t inside = offset % device.block_size;
    if (offset >= device.capacity || solo5_block_read(disk, offset - inside, sector,
                                                      device.block_size) != SOLO5_R_OK)
        solo5_exit(1);
    return sector + inside;
}

static uint64_t octal(const uint8_t *digit, int count)
{
    uint64_t value = 0;
    for (; count-- && *digit >= '0' && *digit <= '7'; digit++)
        value = value * 8 + (*digit - '0');
    return value;
}

static int same(const char *one, const char *other)
{
    while (*one && *one == *other)
        one++, other++;
    return *one == *other;
}

int solo5_app_main(const struct solo5_start_info *start)
{
    if (solo5_block_acquire("site", &disk, &device) != SOLO5_R_OK || device.block_size > SECTOR)
        return 2;
    for (uint64_t offset = 0;;) {
        const uint8_t *header = at(offset);
        if (!header[0]) /* the archive's end */
            return 3;
        uint64_t size = octal(header + 124, 12);
        int found = same(start->cmdline, (const char *)header);
        offset += BLOCK;
        for (uint64_t done = 0; found && done < size; done += BLOCK) {
            uint64_t left = size - done;
            solo5_console_write((const char *)at(offset + done), left < BLOCK ? left : BLOCK);
        }
        if (found)
            return 0;
        offset += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
}
