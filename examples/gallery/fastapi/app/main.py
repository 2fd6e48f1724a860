"""Items by number, checked by their type."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    """What is for sale."""

    id: int
    name: str


@app.get("/items/{item_id}")
def read_item(item_id: int) -> Item:
    """Return one item."""
    return Item(id=item_id, name=f"item {item_id} from fastapi")
