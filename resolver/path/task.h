// Task: a coroutine that nobody waits for; a query walks the path in one.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>

namespace postern {

// Frames come from a free list of the thread, so that a query costs no allocation once the path is warm. A
// frame is made and destroyed on the same thread: shards do not exchange queries.
class FramePool {
 public:
  static void* take(std::size_t size) {
    Pool& pool = mine();
    if (size <= slot_octets && pool.free != nullptr) {
      Slot* slot = pool.free;
      pool.free = slot->next;
      return slot;
    }
    return ::operator new(size <= slot_octets ? slot_octets : size);
  }
  static void give(void* frame, std::size_t size) noexcept {
    if (size > slot_octets) return ::operator delete(frame);
    Pool& pool = mine();
    pool.free = new (frame) Slot{pool.free};
  }

 private:
  static constexpr std::size_t slot_octets = 1024;  // a walk's frame is about half of it
  struct Slot {
    Slot* next;
  };
  struct Pool {
    Slot* free = nullptr;
    ~Pool() {
      while (free != nullptr) {
        Slot* next = free->next;
        ::operator delete(free);
        free = next;
      }
    }
  };
  static Pool& mine() {
    thread_local Pool pool;
    return pool;
  }
};

struct Task {
  struct promise_type {
    Task get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }  // nothing on the path throws but bad_alloc
    static void* operator new(std::size_t size) { return FramePool::take(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { FramePool::give(frame, size); }
  };
};

}  // namespace postern
