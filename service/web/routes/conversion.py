"""Route that converts definitions of other systems."""

from fastapi import APIRouter

from service.schemas.conversion import Conversion, NewConversion
from service.web.dependencies import ConversionsDependency
from service.web.parsed_body import ParsedBodyRoute

router = APIRouter(prefix="/v1", tags=["studies"], route_class=ParsedBodyRoute)


@router.post("/convert", name="convert", response_description="The definition.")
async def convert_definition(new: NewConversion, conversions: ConversionsDependency) -> Conversion:
    """Convert a W&B sweep or a Ray Tune search space to a definition.

    A field that has no counterpart is refused with 422, each in an error of its own. Comments in the definition say
    where meanings differ. Nothing is created, and Python is read but not run.
    """
    return Conversion(definition=await conversions.convert(new))
