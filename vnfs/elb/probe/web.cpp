// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cmath>

#include "vnfs/elb/probe/probe.hpp"

namespace evnf::elb
{

namespace
{

constexpr std::size_t most_body = 64 * 1024;

// Of the whole process, and never undone: other monitors may run.
void initialize()
{
    static const bool done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    (void)done;
}

std::string host_text(const Address &a)
{
    return a.is_v4() ? a.text() : "[" + a.text() + "]";
}

long milliseconds(double seconds)
{
    return std::max(1L, std::lround(seconds * 1000));
}

} // namespace

struct WebProbes::Transfer {
    CURL *easy = curl_easy_init();
    curl_slist *connect_to = nullptr;
    HttpAnswer answer;
    Done done;
    char error[CURL_ERROR_SIZE] = "";

    Transfer() = default;
    Transfer(const Transfer &) = delete;
    ~Transfer()
    {
        curl_easy_cleanup(easy);
        curl_slist_free_all(connect_to);
    }

    // What is too much is left out; the rest of the answer is read.
    static std::size_t take_body(char *data, std::size_t, std::size_t size, void *to)
    {
        auto &body = static_cast<Transfer *>(to)->answer.body;
        body.append(data, std::min(size, most_body - body.size()));
        return size;
    }

    void prepare(const std::string &url, double timeout)
    {
        curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(timeout));
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_PROXY, ""); // whatever the environment says
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "evnf/" EVNF_VERSION);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
    }
};

WebProbes::WebProbes()
{
    initialize();
    multi_ = curl_multi_init();
}

WebProbes::~WebProbes()
{
    for (const auto &t : transfers_)
        curl_multi_remove_handle(multi_, t->easy);
    transfers_.clear();
    curl_multi_cleanup(multi_);
}

void WebProbes::start(std::unique_ptr<Transfer> transfer)
{
    curl_multi_add_handle(multi_, transfer->easy);
    transfers_.push_back(std::move(transfer));
}

// The name in the URL is what the request and TLS say; where it leads to is `to`.
void WebProbes::http(const HttpRequest &request, Done done)
{
    auto t = std::make_unique<Transfer>();
    t->done = std::move(done);
    const std::string port = std::to_string(request.to.port);
    const std::string name =
        request.host.empty() ? host_text(request.to.address) + ":" + port : request.host;
    t->prepare((request.tls ? "https://" : "http://") + name + request.path, request.timeout);
    t->connect_to =
        curl_slist_append(nullptr, ("::" + host_text(request.to.address) + ":" + port).c_str());
    curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
    if (request.method == "HEAD")
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, request.verify ? 1L : 0L);
    curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, request.verify ? 2L : 0L);
    if (!request.ca_file.empty())
        curl_easy_setopt(t->easy, CURLOPT_CAINFO, request.ca_file.c_str());
    start(std::move(t));
}

void WebProbes::connect(const Endpoint &to, double timeout, Done done)
{
    auto t = std::make_unique<Transfer>();
    t->done = std::move(done);
    t->prepare("http://" + host_text(to.address) + ":" + std::to_string(to.port), timeout);
    curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L);
    start(std::move(t));
}

void WebProbes::wait(std::vector<curl_waitfd> &others, Time until)
{
    const double left = Seconds(until - std::chrono::steady_clock::now()).count();
    const int ms = static_cast<int>(std::clamp(std::ceil(left * 1000), 0.0, 60000.0));
    int ready = 0;
    curl_multi_poll(multi_, others.data(), static_cast<unsigned>(others.size()), ms, &ready);
}

void WebProbes::run()
{
    int running = 0;
    curl_multi_perform(multi_, &running);
    int left = 0;
    while (const CURLMsg *message = curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE)
            continue;
        const CURLcode code = message->data.result;
        CURL *easy = message->easy_handle;
        const auto it = std::find_if(transfers_.begin(), transfers_.end(),
                                     [&](const auto &t) { return t->easy == easy; });
        const auto t = std::move(*it);
        transfers_.erase(it);
        curl_multi_remove_handle(multi_, easy); // `message` is gone with it
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &t->answer.status);
        curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME, &t->answer.seconds);
        long why = 0;
        curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &why);
        if (code == CURLE_COULDNT_CONNECT && why)
            t->answer.error = sys_error("connect", static_cast<int>(why)).message();
        else if (code != CURLE_OK)
            t->answer.error = t->error[0] ? t->error : curl_easy_strerror(code);
        t->done(t->answer);
    }
}

void WebProbes::wake()
{
    curl_multi_wakeup(multi_);
}

} // namespace evnf::elb
