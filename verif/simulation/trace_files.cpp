// Takes records out of the memory that verif/simulation/feed.py fills, and writes log entries. Words are in the machine's own byte order.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "svdpi.h"

static const uint32_t* memory;     // two halves
static size_t half_words;
static int ready = -1, returned = -1;  // pipes: words in the next half; a byte for each half that was read
static int half = 1;
static size_t at = 0, end = 0;     // of what is left in this half
static std::FILE* log_file = nullptr;

extern "C" int trace_open(const char* name) {
    const std::string path(name);
    const int file = open((path + ".memory").c_str(), O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) return 0;
    half_words = status.st_size / sizeof(uint32_t) / 2;
    void* const mapped = mmap(nullptr, status.st_size, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) return 0;
    memory = static_cast<const uint32_t*>(mapped);
    // This one first: who has opened the other may expect halves back.
    returned = open((path + ".returned").c_str(), O_WRONLY);
    ready = open(name, O_RDONLY);
    return returned >= 0 && ready >= 0;
}

extern "C" int trace_read(int words, svBitVecVal* record) {
    if (at == end) {
        if (end != 0 && write(returned, "", 1) != 1) return 0;
        uint32_t count = 0;
        if (read(ready, &count, sizeof count) != sizeof count) return 0;
        half = 1 - half;
        at = 0;
        end = count;
    }
    const size_t taken = end - at < size_t(words) ? end - at : size_t(words);
    std::memcpy(record, memory + half * half_words + at, taken * sizeof(uint32_t));
    at += taken;
    return static_cast<int>(taken);
}

extern "C" int log_open(const char* name) {
    log_file = std::fopen(name, "wb");
    return log_file != nullptr;
}

extern "C" void log_write(int words, const svBitVecVal* entry) {
    std::fwrite(entry, sizeof(svBitVecVal), words, log_file);
}

extern "C" void log_close() {
    if (log_file) std::fclose(log_file);
}
