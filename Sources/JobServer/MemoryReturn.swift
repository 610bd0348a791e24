/// When memory is to be given back to the system: a pure value.
///
/// What jobs held is freed as they are dropped, but the allocator keeps it, spread over pages, and
/// gives back only what lies at the end of its heap. While as many jobs come as go that is right:
/// the next ones take the room. When what is held has fallen by a step since it was last at its
/// peak, or at the end to a half, it is worth asking: a call takes about a millisecond for each
/// four MiB that it finds.
struct MemoryReturn {
  /// By how much it must fall, in bytes: few enough that a call takes no more than a few
  /// milliseconds.
  static let step = 8 << 20
  /// The least that is worth a call.
  static let stepMin = 1 << 20

  /// What a job costs beyond its payload, in bytes, roughly.
  static let jobBytes = 150

  private var peak = 0

  /// Whether it is to be given back now that so many jobs are held, with so many bytes of payload.
  @inline(__always)
  mutating func isDue(jobs: Int, payloadBytes: Int) -> Bool {
    let held = jobs * MemoryReturn.jobBytes + payloadBytes
    if held > peak { peak = held }
    let fall = min(MemoryReturn.step, max(MemoryReturn.stepMin, peak / 2))
    guard peak - held >= fall else { return false }
    peak = held
    return true
  }
}
