"""Networks from timm, Hugging Face, Keras Hub, torchxrayvision and ONNX files become a file and a card."""
