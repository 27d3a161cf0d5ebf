/* A pointer-keyed open-addressing hash map (linear probing; a removed key leaves a tombstone). */
#include <stdlib.h>

#include "core.h"

static char tombstone;
#define REMOVED ((void *)&tombstone)

static size_t slot_of(const as_map *map, const void *key) {
    size_t i = (size_t)(((uintptr_t)key * 0x9E3779B97F4A7C15ull) >> 20) & (map->capacity - 1);
    while (map->keys[i] && map->keys[i] != key) i = (i + 1) & (map->capacity - 1);
    return i;
}

void *as_map_get(const as_map *map, const void *key) {
    if (!map->capacity || !key) return NULL;
    size_t i = slot_of(map, key);
    return map->keys[i] ? map->values[i] : NULL;
}

static void grow(as_map *map) {
    as_map bigger = {.capacity = map->capacity ? map->capacity * 2 : 64};
    bigger.keys = calloc(bigger.capacity, sizeof(void *));
    bigger.values = calloc(bigger.capacity, sizeof(void *));
    if (!bigger.keys || !bigger.values) abort();
    for (size_t i = 0; i < map->capacity; ++i)
        if (map->keys[i] && map->keys[i] != REMOVED) as_map_put(&bigger, map->keys[i], map->values[i]);
    free(map->keys);
    free(map->values);
    *map = bigger;
}

void as_map_put(as_map *map, const void *key, void *value) {
    if (!key) return;
    if (map->count * 2 >= map->capacity) grow(map);
    size_t i = slot_of(map, key);
    if (!map->keys[i]) map->count++;
    map->keys[i] = (void *)key;
    map->values[i] = value;
}

void as_map_remove(as_map *map, const void *key) {
    if (!map->capacity || !key) return;
    size_t i = slot_of(map, key);
    if (map->keys[i]) map->keys[i] = REMOVED, map->values[i] = NULL;
}
