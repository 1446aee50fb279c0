"""The contract: topics, keys, event ids, record models and their encoding.

Everything two rooms must agree on stands here and nowhere else. A consumer written elsewhere needs only this room; it
brings no Kafka client and no web framework.
"""
