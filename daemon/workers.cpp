// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/workers.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.hpp"
#include "vnfs/ring_record.hpp"

namespace evnf
{

namespace
{

using namespace std::chrono_literals;

constexpr std::size_t queue_frames = 1024; // of AF_XDP, for each worker
constexpr unsigned losing_looks = 4;       // that many in a row are a sustained loss
constexpr auto cool_down = 10s;            // after a change of the number of workers
constexpr auto idle_after = 30s;           // without loss, and little to do
constexpr std::uint64_t little = 1000;     // packets from one look to the next

struct RingFree {
    void operator()(ring_buffer *r) const { ring_buffer__free(r); }
};

} // namespace

// One thread with its ring, its queue and its own objects of the VNFs.
class Workers::Worker
{
public:
    // `back` is null where no packet waits for its word.
    static Result<std::shared_ptr<Worker>> start(const FindFastPath &find,
                                                 std::unique_ptr<Reenter::Batch> back)
    {
        auto w = std::make_shared<Worker>(find, std::move(back));
        LIBBPF_OPTS(bpf_map_create_opts, opts);
        w->map_ =
            Fd(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "copy_ring", 0, 0, COPY_RING_BYTES, &opts));
        if (!w->map_)
            return sys_error("make a worker's ring");
        w->ring_.reset(ring_buffer__new(w->map_.get(), on_copy, w.get(), nullptr));
        w->wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        w->epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
        if (!w->ring_ || !w->wake_ || !w->epoll_)
            return sys_error("start a worker");
        for (const int fd : {ring_buffer__epoll_fd(w->ring_.get()), w->wake_.get()}) {
            epoll_event e{};
            e.events = EPOLLIN;
            if (::epoll_ctl(w->epoll_.get(), EPOLL_CTL_ADD, fd, &e))
                return sys_error("start a worker");
        }
        w->thread_ = std::thread([worker = w.get()] { worker->run(); });
        ::pthread_setname_np(w->thread_.native_handle(), "evnf-worker");
        return w;
    }

    Worker(const FindFastPath &find, std::unique_ptr<Reenter::Batch> back)
        : find_(find),
          back_(std::move(back))
    {
    }
    ~Worker() { end(); }
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;

    void end()
    {
        if (!thread_.joinable())
            return;
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        room_.notify_all();
        wake();
        thread_.join();
    }

    void give(const xsk_meta &meta, unsigned ifindex, std::span<const std::uint8_t> frame)
    {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return queue_.size() < queue_frames || ending_; });
        queue_.push_back({meta, ifindex, {frame.begin(), frame.end()}});
        const bool was_empty = queue_.size() == 1;
        lock.unlock();
        if (was_empty)
            wake();
    }

    [[nodiscard]] int ring() const { return map_.get(); }
    [[nodiscard]] std::uint64_t handled() const { return handled_; }
    [[nodiscard]] std::uint64_t refused() const { return refused_; }
    [[nodiscard]] std::uint64_t failed() const { return back_ ? back_->failed() : 0; }

private:
    struct Given {
        xsk_meta meta;
        unsigned ifindex;
        std::vector<std::uint8_t> frame;
    };

    void wake() const
    {
        const std::uint64_t one = 1;
        if (::write(wake_.get(), &one, sizeof one) != sizeof one)
            return; // it is awake: the counter is full
    }

    void run()
    {
        for (bool ending = false; !ending;) {
            epoll_event e{};
            ::epoll_wait(epoll_.get(), &e, 1, -1);
            std::uint64_t count = 0;
            if (::read(wake_.get(), &count, sizeof count) < 0 && errno != EAGAIN)
                log_error("worker", sys_error("read"));
            {
                const std::lock_guard lock(mutex_);
                ending = ending_;
            }
            read();
            if (!back_)
                continue;
            if (const auto pause = back_->wait(); pause.count() > 0) {
                std::this_thread::sleep_for(pause);
                read();
            }
            back_->send();
        }
        objects_.clear();
    }

    // All that is there.
    void read()
    {
        ring_buffer__consume(ring_.get());
        std::deque<Given> mine;
        {
            const std::lock_guard lock(mutex_);
            mine.swap(queue_);
        }
        room_.notify_all();
        for (const auto &g : mine)
            handle(g.meta.place.place & PLACE_SLOT_MASK, g.meta.place.place, g.ifindex,
                   {g.frame, true, nullptr, g.meta.note, g.meta.l3_off});
    }

    static int on_copy(void *self, void *data, std::size_t size)
    {
        // Never none: the fast path wrote it.
        if (const auto packet = packet_of_record({static_cast<const std::byte *>(data), size})) {
            const copy_head &head = *packet->head;
            static_cast<Worker *>(self)->handle(head.pkt.slot, head.place, head.pkt.ifindex,
                                                *packet);
        }
        return 0;
    }

    // `place` is 0 for a copy.
    void handle(unsigned slot, unsigned place, unsigned ifindex, const SlowPacket &packet)
    {
        ++handled_;
        auto it = objects_.find(slot);
        if (it == objects_.end()) {
            FastPath *fast_path = find_(slot);
            it = objects_.emplace(slot, fast_path ? fast_path->make_worker() : nullptr).first;
        }
        // A VNF that has nothing to say lets its packets go on.
        const bool goes_on = !it->second || it->second->handle(packet);
        if (!packet.held || !back_)
            return;
        if (goes_on)
            back_->add(place, ifindex, packet.frame);
        else
            ++refused_;
    }

    const FindFastPath &find_;
    std::unique_ptr<Reenter::Batch> back_;
    Fd map_, wake_, epoll_;
    std::unique_ptr<ring_buffer, RingFree> ring_;
    std::map<unsigned, std::unique_ptr<PacketWorker>> objects_; // by slot; the thread's own
    std::atomic<std::uint64_t> handled_ = 0, refused_ = 0;

    std::mutex mutex_; // guards the two below
    std::deque<Given> queue_;
    bool ending_ = false;
    std::condition_variable room_;
    std::thread thread_; // last: it uses all of the above
};

Workers::Workers(bpf::MapSet &maps, FindFastPath find, std::unique_ptr<Reenter> reenter,
                 bpf::PerCpuCounters<copy_count> copies)
    : maps_(maps),
      find_(std::move(find)),
      reenter_(std::move(reenter)),
      copies_(copies)
{
}

Workers::~Workers()
{
    for (auto &w : workers_)
        w->end();
}

Result<std::unique_ptr<Workers>> Workers::start(bpf::MapSet &maps, FindFastPath find, bool hold)
{
    std::unique_ptr<Reenter> reenter;
    if (hold) {
        auto loaded = Reenter::load(maps);
        if (!loaded)
            return loaded.error();
        reenter = *std::move(loaded);
    }
    auto copies = bpf::PerCpuCounters<copy_count>::bind(maps, "copy_counts");
    if (!copies)
        return copies.error();
    std::unique_ptr<Workers> w(new Workers(maps, std::move(find), std::move(reenter), *copies));
    if (auto r = w->add(); !r)
        return r.error();
    if (auto r = w->beat(); !r)
        return r.error();
    return w;
}

Result<> Workers::add()
{
    auto rings = maps_.fd("copy_rings");
    if (!rings)
        return rings.error();
    const auto index = static_cast<__u32>(workers_.size());
    std::unique_ptr<Reenter::Batch> back;
    if (reenter_) {
        auto batch = reenter_->batch(index);
        if (!batch)
            return batch.error();
        back = *std::move(batch);
    }
    auto worker = Worker::start(find_, std::move(back));
    if (!worker)
        return worker.error();
    if (auto r = bpf::put_inner(*rings, index, (*worker)->ring()); !r)
        return r;
    workers_.push_back(*std::move(worker));
    return spread();
}

// The last one: first it gets no flows any more, then it handles what it has.
void Workers::remove()
{
    const auto worker = workers_.back();
    workers_.pop_back();
    if (auto r = spread(); !r)
        log_error("spread flows", r.error());
    const auto index = static_cast<__u32>(workers_.size());
    if (auto rings = maps_.fd("copy_rings"))
        bpf_map_delete_elem(*rings, &index); // returns when no program uses it
    worker->end();
    ended_.handled += worker->handled();
    ended_.refused += worker->refused();
    ended_.failed += worker->failed();
}

Result<> Workers::spread()
{
    auto ring_of = bpf::Map<__u32, __u32>::bind(maps_, "copy_ring_of");
    if (!ring_of)
        return ring_of.error();
    for (__u32 b = 0; b < COPY_BUCKETS; ++b) {
        const auto i = static_cast<__u32>(b % workers_.size());
        by_bucket_[b] = workers_[i];
        if (auto r = ring_of->put(b, i); !r)
            return r;
    }
    return Unit{};
}

void Workers::give(const xsk_meta &meta, unsigned ifindex, std::span<const std::uint8_t> frame)
{
    if (const auto worker = by_bucket_[meta.place.bucket % COPY_BUCKETS].load())
        worker->give(meta, ifindex, frame);
}

Workers::Counts Workers::counts() const
{
    Counts c = ended_;
    c.workers = workers_.size();
    for (const auto &w : workers_) {
        c.handled += w->handled();
        c.refused += w->refused();
        c.failed += w->failed();
    }
    return c;
}

copy_count Workers::copies(unsigned slot) const
{
    return copies_.sum(slot);
}

std::uint64_t Workers::lost_copies() const
{
    std::uint64_t lost = 0;
    for (unsigned slot = 0; slot < CHAIN_MAX_SLOTS; ++slot)
        lost += copies_.sum(slot).lost;
    return lost;
}

Result<> Workers::beat() const
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    auto alive = bpf::Map<__u32, __u64>::bind(maps_, "copy_alive");
    if (!alive)
        return alive.error();
    return alive->put(0,
                      static_cast<__u64>(t.tv_sec) * 1'000'000'000 + static_cast<__u64>(t.tv_nsec));
}

void Workers::scale(std::uint64_t lost)
{
    lost += lost_copies();
    const auto now = Clock::now();
    const std::uint64_t handled = counts().handled;
    losing_ = lost > lost_seen_ ? losing_ + 1 : 0;
    if (losing_ || handled - handled_seen_ > little)
        busy_ = now;
    lost_seen_ = lost;
    handled_seen_ = handled;
    if (now - scaled_ < cool_down)
        return;
    const std::size_t most =
        std::min<std::size_t>(COPY_RINGS, std::max(2U, std::thread::hardware_concurrency()));
    if (losing_ >= losing_looks && workers_.size() < most) {
        scaled_ = now;
        if (auto r = add(); !r)
            log_error("add a worker", r.error());
        else
            log_info("packets for user space are lost for long: there are now " +
                     std::to_string(workers_.size()) + " workers");
    } else if (workers_.size() > 1 && now - busy_ > idle_after) {
        scaled_ = now;
        remove();
        log_info("workers are idle: there is now one less, " + std::to_string(workers_.size()));
    }
}

} // namespace evnf
