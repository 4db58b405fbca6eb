from pathlib import Path
from tests.server.host import *
async def test_x(era: str, home: Path) -> None:
    async with connected(era, war_room(home)) as host:
        print(host.client.server_capabilities, await host.names())
        a = await host.own("add_server", candidate_id="npm:rich")
        print(host.cards, json.dumps(a)[:3000], host.log)
        print(await host.call("rich__echo", {"a": 1}, _meta={"x/y": 1}))
        for _ in range(5): await anyio.sleep(0.1)
        print(host.log)
