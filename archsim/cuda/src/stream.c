/* Streams and events. Work runs in program order at the call that submits it, which is a legal order for every
 * stream program; a stream therefore only names its work, and an event is complete as soon as it is recorded. */
#include <stdlib.h>

#include "core.h"

#define EVENT_RESOLUTION_NS 500 /* "a resolution of approximately one half microsecond": cudaEventElapsedTime's manual */

static as_map streams, events;
static uint32_t next_id = 1; /* 0 is the default stream */
static uint64_t last_stamp_ns;

/* Handles 0, 1 and 2 are the default, the legacy and the per-thread stream. */
static int built_in(void *stream) { return (uintptr_t)stream <= 2; }

int as_stream_create(uint32_t flags, int priority, void **out) {
    int error = as_enter();
    if (error || !out) return error ? error : AS_INVALID_VALUE;
    as_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return AS_OUT_OF_MEMORY;
    as_lock();
    *stream = (as_stream){next_id++, flags, priority};
    as_map_put(&streams, stream, stream);
    as_unlock();
    *out = stream;
    return AS_OK;
}

int as_stream_check(void *stream, as_stream *out) {
    if (built_in(stream)) {
        if (out) *out = (as_stream){0, 0, 0};
        return AS_OK;
    }
    as_lock();
    as_stream *known = as_map_get(&streams, stream);
    if (known && out) *out = *known;
    as_unlock();
    return known ? AS_OK : AS_INVALID_HANDLE;
}

uint32_t as_stream_id(void *stream) {
    as_stream known;
    return as_stream_check(stream, &known) ? 0 : known.id;
}

int as_stream_destroy(void *stream) {
    if (built_in(stream)) return AS_INVALID_HANDLE;
    as_lock();
    as_stream *known = as_map_get(&streams, stream);
    as_map_remove(&streams, stream);
    as_unlock();
    free(known);
    return known ? AS_OK : AS_INVALID_HANDLE;
}

int as_event_create(uint32_t flags, void **out) {
    int error = as_enter();
    if (error || !out) return error ? error : AS_INVALID_VALUE;
    as_event *event = calloc(1, sizeof *event);
    if (!event) return AS_OUT_OF_MEMORY;
    event->flags = flags;
    as_lock();
    as_map_put(&events, event, event);
    as_unlock();
    *out = event;
    return AS_OK;
}

static as_event *event_of(void *event) {
    as_lock();
    as_event *known = as_map_get(&events, event);
    as_unlock();
    return known;
}

int as_event_destroy(void *event) {
    as_event *known = event_of(event);
    if (!known) return AS_INVALID_HANDLE;
    as_lock();
    as_map_remove(&events, event);
    as_unlock();
    free(known);
    return AS_OK;
}

int as_event_record(void *event, void *stream) {
    int error = as_enter();
    if (!error) error = as_stream_check(stream, NULL);
    as_event *known = event_of(event);
    if (error || !known) return error ? error : AS_INVALID_HANDLE;
    as_lock();
    uint64_t now = as_now_ns();
    if (now < last_stamp_ns + EVENT_RESOLUTION_NS) now = last_stamp_ns + EVENT_RESOLUTION_NS;
    known->time_ns = last_stamp_ns = now;
    known->recorded = 1;
    as_unlock();
    return AS_OK;
}

int as_event_query(void *event) {
    int error = as_enter();
    if (error) return error;
    return event_of(event) ? AS_OK : AS_INVALID_HANDLE;
}

#define EVENT_DISABLE_TIMING 2

int as_event_elapsed(float *ms, void *start, void *end) {
    as_event *a = event_of(start), *b = event_of(end);
    if (!ms) return AS_INVALID_VALUE;
    if (!a || !b || !a->recorded || !b->recorded) return AS_INVALID_HANDLE;
    if ((a->flags | b->flags) & EVENT_DISABLE_TIMING) return AS_INVALID_HANDLE;
    *ms = (float)((double)((int64_t)(b->time_ns - a->time_ns)) * 1e-6);
    return as_sticky();
}
