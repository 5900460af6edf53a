// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/feedback/snmp_session.hpp"

#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/library/large_fd_set.h>

#include <poll.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>

#include "vnfs/elb/feedback/secret.hpp"

namespace evnf::elb
{

namespace
{

// Net-SNMP's users and engines are the whole process's, and nobody guards them.
std::mutex library;

// Once, and without its files and MIBs: all that is asked for is given by number.
void initialize()
{
    static const bool done = [] {
        // Without a handler it would write to stderr.
        netsnmp_register_loghandler(NETSNMP_LOGHANDLER_NONE, LOG_DEBUG);
        netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
        netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
        netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
        netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
        netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_MIBDIRS, "/nonexistent");
        netsnmp_ds_set_int(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_MIB_ERRORS, 0);
        init_snmp("evnf");
        return true;
    }();
    (void)done;
}

u_char *bytes(std::string &text)
{
    return reinterpret_cast<u_char *>(text.data());
}

// A key of a passphrase, before it is made the agent's own; slow, by design, so kept.
Result<std::string> key_of(const std::string &file, const oid *protocol, std::size_t length)
{
    auto passphrase = read_secret(file);
    if (!passphrase)
        return passphrase.error();
    if (passphrase->size() < USM_LENGTH_P_MIN)
        return bad_input("the passphrase in " + file + " is shorter than 8 characters");
    static std::map<std::pair<std::string, std::vector<oid>>, std::string> known;
    auto &key = known[{*passphrase, std::vector<oid>(protocol, protocol + length)}];
    if (key.empty()) {
        key.resize(USM_AUTH_KU_LEN);
        std::size_t size = key.size();
        if (generate_Ku(protocol, static_cast<u_int>(length), bytes(*passphrase),
                        passphrase->size(), bytes(key), &size) != SNMPERR_SUCCESS) {
            key.clear();
            return bad_input("Net-SNMP cannot make a key of the passphrase in " + file);
        }
        key.resize(size);
    }
    return key;
}

struct Protocol {
    const oid *id;
    std::size_t length;
};

Protocol authentication(const std::string &name)
{
    if (name == "SHA-256")
        return {usmHMAC192SHA256AuthProtocol, OID_LENGTH(usmHMAC192SHA256AuthProtocol)};
    if (name == "SHA-512")
        return {usmHMAC384SHA512AuthProtocol, OID_LENGTH(usmHMAC384SHA512AuthProtocol)};
    return {usmHMACSHA1AuthProtocol, OID_LENGTH(usmHMACSHA1AuthProtocol)};
}

// What snmp_sess_open() copies of it must live until then.
struct Opening {
    netsnmp_session session;
    std::string peer, community, user, engine, auth_key, priv_key;
};

Result<> secure(Opening &o, const SnmpSettings &s)
{
    o.session.version = SNMP_VERSION_3;
    o.session.securityModel = SNMP_SEC_MODEL_USM;
    if (o.engine.empty()) { // to discover it
        o.session.securityLevel = SNMP_SEC_LEVEL_NOAUTH;
        o.session.flags |= SNMP_FLAGS_DONT_PROBE;
        o.session.securityName = o.user.data();
        o.session.securityNameLen = 0;
        return Unit{};
    }
    const auto auth = authentication(s.auth);
    auto auth_key = key_of(s.auth_file, auth.id, auth.length);
    if (!auth_key)
        return auth_key.error();
    auto priv_key = key_of(s.priv_file, auth.id, auth.length);
    if (!priv_key)
        return priv_key.error();
    o.user = s.user;
    o.auth_key = *auth_key;
    o.priv_key = *priv_key;
    // The library would go on with the keys that it made of a passphrase before.
    if (usmUser *old = usm_get_user(bytes(o.engine), o.engine.size(), o.user.data())) {
        usm_remove_user(old);
        usm_free_user(old);
    }
    o.session.securityLevel = SNMP_SEC_LEVEL_AUTHPRIV;
    o.session.securityName = o.user.data();
    o.session.securityNameLen = o.user.size();
    o.session.securityEngineID = bytes(o.engine);
    o.session.securityEngineIDLen = o.engine.size();
    o.session.contextEngineID = bytes(o.engine);
    o.session.contextEngineIDLen = o.engine.size();
    o.session.securityAuthProto = const_cast<oid *>(auth.id);
    o.session.securityAuthProtoLen = auth.length;
    o.session.securityPrivProto = const_cast<oid *>(usmAESPrivProtocol);
    o.session.securityPrivProtoLen = OID_LENGTH(usmAESPrivProtocol);
    o.session.securityAuthKeyLen = o.auth_key.copy(
        reinterpret_cast<char *>(o.session.securityAuthKey), sizeof o.session.securityAuthKey);
    o.session.securityPrivKeyLen = o.priv_key.copy(
        reinterpret_cast<char *>(o.session.securityPrivKey), sizeof o.session.securityPrivKey);
    return Unit{};
}

Result<> reveal(Opening &o, const SnmpSettings &s)
{
    o.session.version = SNMP_VERSION_2c;
    o.community = "public";
    if (!s.community_file.empty()) {
        auto community = read_secret(s.community_file);
        if (!community)
            return community.error();
        o.community = *community;
    }
    o.session.community = bytes(o.community);
    o.session.community_len = o.community.size();
    return Unit{};
}

std::optional<double> number_of(const variable_list &v)
{
    switch (v.type) {
    case ASN_INTEGER:
        return static_cast<double>(*v.val.integer);
    case ASN_COUNTER:
    case ASN_GAUGE:
    case ASN_TIMETICKS:
        return static_cast<double>(static_cast<std::uint32_t>(*v.val.integer));
    case ASN_COUNTER64:
        return std::ldexp(static_cast<double>(v.val.counter64->high), 32) +
               static_cast<double>(v.val.counter64->low);
    case ASN_OPAQUE_FLOAT:
        return static_cast<double>(*v.val.floatVal);
    case ASN_OPAQUE_DOUBLE:
        return *v.val.doubleVal;
    case ASN_OCTET_STR: { // what an agent makes of a script's output
        const std::string text(reinterpret_cast<const char *>(v.val.string), v.val_len);
        char *end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (end == text.c_str() || !std::isfinite(value))
            return {};
        return value;
    }
    default:
        return {};
    }
}

} // namespace

SnmpSession::Oid parse_oid(const std::string &text)
{
    SnmpSession::Oid out;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, '.');)
        out.push_back(std::strtoul(part.c_str(), nullptr, 10));
    return out;
}

Result<SnmpSession> SnmpSession::open(const Address &to, const SnmpSettings &settings,
                                      const std::string &engine, double timeout)
{
    const std::scoped_lock lock(library);
    initialize();
    Opening o{};
    o.engine = engine;
    o.peer = to.is_v4() ? "udp:" + to.text() + ":" + std::to_string(settings.port)
                        : "udp6:[" + to.text() + "]:" + std::to_string(settings.port);
    snmp_sess_init(&o.session);
    o.session.peername = o.peer.data();
    o.session.timeout = std::lround(timeout * 1e6);
    o.session.retries = 0; // the next measurement is the next try
    if (auto r = settings.version == 3 ? secure(o, settings) : reveal(o, settings); !r)
        return r.error();
    SnmpSession s;
    s.handle_ = snmp_sess_open(&o.session);
    if (!s.handle_) {
        int system = 0, code = 0;
        char *why = nullptr;
        snmp_error(&o.session, &system, &code, &why);
        const std::string text = why ? why : "it does not say why";
        std::free(why);
        return bad_input("Net-SNMP cannot open a session: " + text);
    }
    s.fd_ = snmp_sess_transport(s.handle_)->sock;
    s.timeout_ = timeout;
    s.peer_ = o.peer;
    s.answer_ = std::make_unique<Answer>();
    return s;
}

SnmpSession::SnmpSession(SnmpSession &&other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      fd_(other.fd_),
      discovers_(other.discovers_),
      timeout_(other.timeout_),
      until_(other.until_),
      peer_(std::move(other.peer_)),
      answer_(std::move(other.answer_))
{
}

SnmpSession::~SnmpSession()
{
    if (!handle_)
        return;
    const std::scoped_lock lock(library);
    snmp_sess_close(handle_);
}

int SnmpSession::on_answer(int operation, void *, int, void *given, void *magic)
{
    auto &answer = *static_cast<Answer *>(magic);
    auto *pdu = static_cast<netsnmp_pdu *>(given);
    if (operation == NETSNMP_CALLBACK_OP_TIMED_OUT) {
        answer.error = bad_input("no answer in time");
    } else if (operation != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE || !pdu) {
        // Of a report, which comes a second time as a message: that one says more.
        if (operation == NETSNMP_CALLBACK_OP_SEC_ERROR)
            return 1;
        answer.error = bad_input("the question cannot be sent");
    } else if (pdu->command == SNMP_MSG_REPORT) {
        answer.engine.assign(reinterpret_cast<const char *>(pdu->securityEngineID),
                             pdu->securityEngineIDLen);
        const int type = snmpv3_get_report_type(pdu);
        if (type != SNMPERR_UNKNOWN_ENG_ID)
            answer.error = bad_input(std::string("the agent refuses: ") + snmp_api_errstring(type));
    } else if (pdu->errstat != SNMP_ERR_NOERROR) {
        answer.error = bad_input(std::string("the agent refuses: ") +
                                 snmp_errstring(static_cast<int>(pdu->errstat)));
    } else {
        for (const auto *v = pdu->variables; v; v = v->next_variable)
            answer.rows.emplace_back(Oid(v->name, v->name + v->name_length), number_of(*v));
    }
    answer.there = true;
    return 1;
}

Result<> SnmpSession::send(void *pdu)
{
    const auto callback = [](int operation, netsnmp_session *session, int request,
                             netsnmp_pdu *given, void *magic) {
        return on_answer(operation, session, request, given, magic);
    };
    *answer_ = {};
    until_ = std::chrono::steady_clock::now() +
             std::chrono::duration_cast<Time::duration>(Seconds(timeout_));
    auto *question = static_cast<netsnmp_pdu *>(pdu);
    if (snmp_sess_async_send(handle_, question, callback, answer_.get()))
        return Unit{};
    snmp_free_pdu(question);
    int system = 0, code = 0;
    char *why = nullptr;
    snmp_sess_error(handle_, &system, &code, &why);
    const std::string text = why ? why : "";
    std::free(why);
    return bad_input("ask the agent: " + text);
}

// An empty user asks an agent without a name: it reports what it is called.
Result<> SnmpSession::discover()
{
    const std::scoped_lock lock(library);
    discovers_ = true;
    netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_GET);
    pdu->version = SNMP_VERSION_3;
    pdu->securityName = ::strdup("");
    pdu->securityNameLen = 0;
    pdu->securityLevel = SNMP_SEC_LEVEL_NOAUTH;
    pdu->securityModel = SNMP_SEC_MODEL_USM;
    return send(pdu);
}

Result<> SnmpSession::get(const std::vector<Oid> &oids)
{
    const std::scoped_lock lock(library);
    netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_GET);
    for (const auto &o : oids)
        snmp_add_null_var(pdu, o.data(), o.size());
    return send(pdu);
}

Result<> SnmpSession::get_next(const Oid &after, int rows)
{
    const std::scoped_lock lock(library);
    netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_GETBULK);
    pdu->non_repeaters = 0;
    pdu->max_repetitions = rows;
    snmp_add_null_var(pdu, after.data(), after.size());
    return send(pdu);
}

std::optional<Result<SnmpSession::Rows>> SnmpSession::read(Time now)
{
    const std::scoped_lock lock(library);
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, 0) > 0) {
        netsnmp_large_fd_set set;
        netsnmp_large_fd_set_init(&set, fd_ + 1);
        netsnmp_large_fd_setfd(fd_, &set);
        snmp_sess_read2(handle_, &set);
        netsnmp_large_fd_set_cleanup(&set);
    }
    if (!answer_->there && now >= until_) {
        answer_->error = bad_input("no answer in time");
        answer_->there = true;
    }
    if (!answer_->there)
        return {};
    // Whatever an agent refuses to one that has no name, it says its own with it.
    const bool discovered = discovers_ && !answer_->engine.empty();
    if (!answer_->error.what.empty() && !discovered)
        return answer_->error;
    return answer_->rows;
}

} // namespace evnf::elb
