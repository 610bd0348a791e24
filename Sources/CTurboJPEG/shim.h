/* libjpeg-turbo's own interface, whose functions answer with an error where libjpeg would jump. */
#include <turbojpeg.h>
