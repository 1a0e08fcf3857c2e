#include "mpi/transport.h"

int es_transport_send(struct es_transport *transport, uint32_t dest, struct es_message *message)
{
    return transport->ops->send(transport, dest, message);
}

int es_transport_send_buf(struct es_transport *transport, uint32_t dest, struct es_buf *buf)
{
    struct es_message message;
    int rc = es_message_take(buf, &message);
    return rc < 0 ? rc : es_transport_send(transport, dest, &message);
}

bool es_transport_receive(struct es_transport *transport, uint32_t *ret_source,
                          struct es_message *ret_message)
{
    return transport->ops->receive(transport, ret_source, ret_message);
}

void es_transport_abandon(struct es_transport *transport, uint32_t dest)
{
    if (transport->ops->abandon)
        transport->ops->abandon(transport, dest);
}

bool es_transport_flushed(struct es_transport *transport)
{
    return transport->ops->flushed(transport);
}

int es_transport_fd(const struct es_transport *transport)
{
    return transport->ops->fd(transport);
}

int64_t es_transport_interval_ns(const struct es_transport *transport)
{
    return transport->ops->interval_ns(transport);
}
