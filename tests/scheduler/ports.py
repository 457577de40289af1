"""Both gRPC ports of a scheduler under real mutual TLS, in this process."""

from __future__ import annotations

from contextlib import asynccontextmanager

from scheduler.rpc.servers import Services, enrolment_server, work_server
from scheduler.service.exclusion import DenyList
from scheduler.service.transfers import Transfers
from trust import certificates
from trust.certificates import Role
from wire.channel import TlsIdentity, open_channel


class House:
    """Both ports of a scheduler, and channels to them for any role."""

    def __init__(self, world):
        self.world = world
        desk = world.desk
        self.pem = certificates.to_pem(desk.authority.certificate)
        key = certificates.new_key()
        leaf = certificates.issue(
            desk.authority.key,
            desk.authority.certificate,
            certificates.make_request(key, "scheduler"),
            territory=desk.territory,
            role=Role.SCHEDULER,
            name="scheduler",
            now=world.clock.now(),
            hosts=["127.0.0.1"],
        )
        pair = (certificates.key_to_pem(key), certificates.to_pem(leaf))
        self.deny = DenyList(desk)
        services = Services(
            desk,
            world.standing,
            Transfers(desk, world.folder / "staging"),
            self.deny,
            [b"root"],
        )
        self.work, self.port = work_server(services, lambda: pair, self.pem, "127.0.0.1:0")
        self.enrolment, self.enrol_port = enrolment_server(desk, lambda: pair, "127.0.0.1:0")

    def channel(self, role=Role.OPERATOR, name="ana", territory=None):
        desk = self.world.desk
        key = certificates.new_key()
        leaf = certificates.issue(
            desk.authority.key,
            desk.authority.certificate,
            certificates.make_request(key, name),
            territory=territory or desk.territory,
            role=role,
            name=name,
            now=self.world.clock.now(),
        )
        identity = TlsIdentity(certificates.to_pem(leaf), certificates.key_to_pem(key))
        return open_channel(f"127.0.0.1:{self.port}", self.pem, identity)

    def newcomer(self):
        return open_channel(f"127.0.0.1:{self.enrol_port}", self.pem, None)


@asynccontextmanager
async def house(world):
    made = House(world)
    await made.work.start()
    await made.enrolment.start()
    try:
        yield made
    finally:
        world.desk.bell.close()
        await made.work.stop(None)
        await made.enrolment.stop(None)
