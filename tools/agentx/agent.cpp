// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/agentx/agent.hpp"

#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/agent/net-snmp-agent-includes.h>

#include <algorithm>
#include <cstdlib>
#include <syslog.h>
#include <utility>

#include "base/log.hpp"

namespace evnf::agentx
{

namespace
{

// EVNF-MIB::evnfMIB, in Net-SNMP's playpen.
const Oid base{1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 3863};
constexpr int reconnect_seconds = 3;

std::function<const Snapshot &()> objects;
std::string last_said;

void set_value(netsnmp_variable_list *var, const Integer &v)
{
    snmp_set_var_typed_integer(var, ASN_INTEGER, v.value);
}

void set_value(netsnmp_variable_list *var, const Gauge &v)
{
    snmp_set_var_typed_integer(var, ASN_GAUGE, static_cast<long>(v.value));
}

void set_value(netsnmp_variable_list *var, const Ticks &v)
{
    snmp_set_var_typed_integer(var, ASN_TIMETICKS, static_cast<long>(v.value));
}

void set_value(netsnmp_variable_list *var, const Counter &v)
{
    const counter64 halves{static_cast<u_long>(v.value >> 32),
                           static_cast<u_long>(v.value & 0xffffffff)};
    snmp_set_var_typed_value(var, ASN_COUNTER64, &halves, sizeof halves);
}

void set_value(netsnmp_variable_list *var, const std::string &v)
{
    snmp_set_var_typed_value(var, ASN_OCTET_STR, v.data(), v.size());
}

// Its name without the base; one that is before or after all of ours stays so.
Oid relative(const netsnmp_variable_list &var)
{
    const Oid name(var.name, var.name + var.name_length);
    if (name.size() >= base.size() && std::equal(base.begin(), base.end(), name.begin()))
        return {name.begin() + static_cast<std::ptrdiff_t>(base.size()), name.end()};
    return name < base ? Oid{} : Oid{MAX_SUBID};
}

// The object that a request is about; null: there is none.
const Snapshot::value_type *find(const Snapshot &all, const Oid &name, bool next)
{
    const auto before = [](const auto &object, const Oid &wanted) { return object.first < wanted; };
    auto it = std::lower_bound(all.begin(), all.end(), name, before);
    if (next && it != all.end() && it->first == name)
        ++it;
    return it != all.end() && (next || it->first == name) ? &*it : nullptr;
}

int handle(netsnmp_mib_handler *, netsnmp_handler_registration *, netsnmp_agent_request_info *info,
           netsnmp_request_info *requests)
{
    const bool next = info->mode == MODE_GETNEXT;
    const Snapshot &all = objects();
    for (auto *request = requests; request; request = request->next) {
        auto *var = request->requestvb;
        const auto *object = find(all, relative(*var), next);
        if (!object) {
            if (!next) // after the last one snmpd goes on elsewhere
                netsnmp_set_request_error(info, request, SNMP_NOSUCHINSTANCE);
            continue;
        }
        Oid name = base;
        name.insert(name.end(), object->first.begin(), object->first.end());
        snmp_set_var_objid(var, name.data(), name.size());
        std::visit([&](const auto &value) { set_value(var, value); }, object->second);
    }
    return SNMP_ERR_NOERROR;
}

// The library's own words, such as that snmpd is not there.
int on_log(int, int, void *message, void *)
{
    const auto &said = *static_cast<const snmp_log_message *>(message);
    std::string text = said.msg;
    text.erase(text.find_last_not_of(": \n") + 1);
    if (std::exchange(last_said, text) == text)
        return 0; // each few seconds, while snmpd is away
    if (said.priority <= LOG_ERR)
        log_error(text);
    else if (said.priority == LOG_WARNING)
        log_warning(text);
    else
        log_info(text);
    return 0;
}

void set_up(const AgentSettings &settings)
{
    netsnmp_register_loghandler(NETSNMP_LOGHANDLER_CALLBACK, LOG_INFO);
    snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_log, nullptr);
    // All that it needs is given by its caller: no files, no state, no MIBs.
    for (const int flag :
         {NETSNMP_DS_LIB_DONT_READ_CONFIGS, NETSNMP_DS_LIB_DONT_PERSIST_STATE,
          NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE,
          NETSNMP_DS_LIB_ALARM_DONT_USE_SIG})
        netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, flag, 1);
    ::setenv("MIBS", "", 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
    if (!settings.socket.empty())
        netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET,
                              settings.socket.c_str());
}

Result<> register_objects(const std::string &context)
{
    auto *registration = netsnmp_create_handler_registration("evnf", handle, base.data(),
                                                             base.size(), HANDLER_CAN_RONLY);
    if (registration && !context.empty())
        registration->contextName = ::strdup(context.c_str());
    if (!registration || netsnmp_register_handler(registration) != MIB_REGISTERED_OK)
        return bad_input("Net-SNMP does not register EVNF-MIB");
    return Unit{};
}

} // namespace

Result<> serve(const AgentSettings &settings, std::function<const Snapshot &()> given,
               const std::function<bool()> &ended)
{
    objects = std::move(given);
    set_up(settings);
    init_agent("evnf-agentx"); // with an interval of its own
    netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL,
                       reconnect_seconds);
    if (auto r = register_objects(settings.context); !r)
        return r;
    init_snmp("evnf-agentx");
    while (!ended())
        agent_check_and_process(1);
    snmp_shutdown("evnf-agentx");
    return Unit{};
}

} // namespace evnf::agentx
